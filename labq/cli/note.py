"""Write a note to a job, for yourself and others: `labq note 12 "lr too high"`. An empty one removes it."""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    common.add_job(parser)
    parser.add_argument("note", metavar="TEXT", nargs="+", help="the note; replaces an earlier one")


def run(options: Any) -> int:
    """Write it."""
    common.client(options).note(options.id, " ".join(options.note))
    print(f"job {options.id}: noted")
    return 0
