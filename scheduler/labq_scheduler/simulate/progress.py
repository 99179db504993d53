"""How far the replays are, on standard error: a bar on a terminal, a line for each replay elsewhere once it takes long."""

from __future__ import annotations

from time import monotonic
from typing import TextIO

_BAR = 24
#: Seconds between two drawings; after which a file or a program is told, too.
_EVERY, _LONG = 0.2, 5.0


class Progress:
    """Takes reports. Call ``done`` before anything else is printed."""

    def __init__(self, stream: TextIO, jobs: int, replays: int) -> None:
        """Draw on ``stream``: so many jobs in all replays together, so many replays."""
        self._stream, self._jobs, self._replays = stream, max(1, jobs), replays
        self._live = stream.isatty()
        self._began = monotonic()
        self._drawn = self._over = 0.0

    def __call__(self, jobs: int, over: int) -> None:
        """Report jobs that started, and replays that are over."""
        now = monotonic()
        if self._live:
            if now - self._drawn >= _EVERY:
                self._drawn = now
                self._stream.write(
                    "\r" + bar(jobs / self._jobs, over, self._replays, now - self._began) + "\x1b[K"
                )
                self._stream.flush()
        elif over > self._over and now - self._began >= _LONG:
            self._over = over
            self._stream.write(f"{over} of {self._replays} replays are over\n")
            self._stream.flush()

    def done(self) -> None:
        """Take the bar away."""
        if self._live and self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def bar(part: float, over: int, replays: int, seconds: float) -> str:
    """Return one drawing of the bar.

    >>> bar(0.5, 1, 4, 30.0)
    'replaying  [############------------]  50%  1 of 4 replays are over, about 30s left'
    """
    filled = int(min(1.0, part) * _BAR)
    left = f", about {seconds * (1 - part) / part:.0f}s left" if part > 0.02 and seconds > 2 else ""
    return f"replaying  [{'#' * filled}{'-' * (_BAR - filled)}] {part:4.0%}  {over} of {replays} replays are over{left}"
