"""Print the version of this labq."""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare no flags."""


def run(options: Any) -> int:
    """Print it."""
    from labq import __version__

    print(f"labq {__version__}")
    return 0
