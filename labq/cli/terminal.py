"""What is known of the terminal: is it one, how wide, may there be colours; and JSON for programs."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

#: Width of tables that go to a file or a program.
PLAIN_WIDTH = 160


def is_terminal(stream: TextIO) -> bool:
    """Return whether ``stream`` is a terminal."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def width() -> int:
    """Return the columns of the terminal behind stdout; a fixed width when there is none."""
    said = os.environ.get("COLUMNS", "")
    if said.isascii() and said.isdigit() and int(said) > 0:
        return int(said)
    if not is_terminal(sys.stdout):
        return PLAIN_WIDTH
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except OSError:
        return 80


def colours(stream: TextIO | None = None) -> bool:
    """Return whether colours are wanted: a terminal, and no ``NO_COLOR``."""
    return (
        is_terminal(stream or sys.stdout)
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def print_json(body: Any) -> None:
    """Print an API body: indented for a person, one line for a program."""
    import json

    indent = 2 if is_terminal(sys.stdout) else None
    sys.stdout.write(json.dumps(body, ensure_ascii=False, indent=indent) + "\n")


def note(text: str) -> None:
    """Print a remark of labq's own, apart from what was asked for."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
