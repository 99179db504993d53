"""Admin: place jobs on a node again after `labq drain`."""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("node", metavar="NODE", help="name of a node: labq nodes")


def run(options: Any) -> int:
    """Resume it."""
    common.client(options).resume(options.node)
    print(f"node {options.node} takes jobs again")
    return 0
