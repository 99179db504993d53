"""A picture that refreshes on the terminal's other screen until `q` or Ctrl-C; the terminal is always restored."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

from labq.errors import UnavailableError

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"


def refresh(picture: Callable[[], str], every: float) -> None:
    """Draw ``picture()`` now and each ``every`` seconds until the person leaves.

    A server that is away for a while is told on the screen and asked again.
    """
    import gc
    import termios
    import tty

    gc.enable()
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        sys.stdout.write(_ENTER)
        while True:
            _draw(_text(picture))
            ready, _, _ = select.select([keyboard], [], [], every)
            if ready and os.read(keyboard, 64)[:1] in {b"q", b"Q", b"\x03", b""}:
                return
    except KeyboardInterrupt:
        return
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _text(picture: Callable[[], str]) -> str:
    try:
        return picture()
    except UnavailableError as error:
        return f"{error}\n"


def _draw(text: str) -> None:
    rows = max(3, os.get_terminal_size(sys.stdout.fileno()).lines or 24)  # some terminals do not know
    lines = [*text.splitlines()[: rows - 2], "", "q ends"]
    sys.stdout.write(_HOME + "\r\n".join(line + _CLEAR_LINE for line in lines) + _CLEAR_REST)
    sys.stdout.flush()
