"""Stop labq on this machine. Jobs run on in their containers; the next `labq up` takes them up again."""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--data-dir", metavar="DIR", help="that of the `labq up` to stop (~/.local/share/labq)"
    )


def run(options: Any) -> int:
    """Stop it and say what runs on."""
    from labq.lab.down import stop
    from labq.settings import Settings

    return stop(Settings({"data_dir": options.data_dir}).path("data_dir"), print)
