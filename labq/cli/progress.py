"""How far packing and uploading are: a bar on a terminal, a line at the start and the end elsewhere."""

from __future__ import annotations

from time import monotonic

from labq.cli.terminal import is_terminal
from labq.units import about_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_BAR = 24
#: Seconds between two drawings.
_EVERY = 0.1
#: Bytes below which no line is written where there is no terminal.
_WORTH_A_LINE = 2**20


class Progress:
    """Takes the client's reports. Call ``done`` before anything else is printed."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on ``stream``."""
        self._stream = stream
        self._live = is_terminal(stream)
        self._stage = ""
        self._began = self._drawn = 0.0
        self._last: tuple[int, int] = (0, 0)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report ``done`` of ``total`` bytes of a stage."""
        now = monotonic()
        if stage != self._stage:
            self.done()
            self._stage, self._began, self._drawn = stage, now, 0.0
            if not self._live and total >= _WORTH_A_LINE:
                self._stream.write(f"{stage} {about_bytes(total)}\n")
                self._stream.flush()
        self._last = (done, total)
        if self._live and (now - self._drawn >= _EVERY or done >= total):
            self._drawn = now
            self._stream.write("\r" + bar(stage, done, total, now - self._began) + "\x1b[K")
            self._stream.flush()

    def done(self) -> None:
        """End the line of the present stage."""
        if not self._stage:
            return
        took = monotonic() - self._began
        if self._live:
            self._stream.write("\n")
        elif took >= 1:
            done, total = self._last
            self._stream.write(
                f"{self._stage} {about_bytes(done)} of {about_bytes(total)} took {took:.0f}s\n"
            )
        self._stream.flush()
        self._stage = ""


def bar(stage: str, done: int, total: int, seconds: float) -> str:
    """Return one drawing of the bar.

    >>> bar("uploading", 50, 100, 0.0)
    'uploading  [############------------]  50%  50B of 100B'
    """
    part = done / total if total else 1.0
    filled = int(part * _BAR)
    rate = f"  {about_bytes(done / seconds)}/s" if seconds > 0.5 and done else ""
    size = f"{about_bytes(done)} of {about_bytes(total)}"
    return f"{stage:<9}  [{'#' * filled}{'-' * (_BAR - filled)}] {part:4.0%}  {size}{rate}"


def steps(stage: str, number: int, total: int, doing: str) -> str:
    """Return the line of a step that begins: the bar shows what is behind it.

    >>> steps("building", 2, 4, "RUN make")
    'building   [######------------------]  2/4  RUN make'
    """
    filled = (number - 1) * _BAR // max(1, total)
    return f"{stage:<9}  [{'#' * filled}{'-' * (_BAR - filled)}] {f'{number}/{total}':>4}  {doing}"
