"""Admin: place no more jobs on a node; what runs there runs on. `labq resume NODE` ends it."""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("node", metavar="NODE", help="name of a node: labq nodes")
    parser.add_argument("reason", metavar="REASON", nargs="+", help="why; everybody sees it")


def run(options: Any) -> int:
    """Drain it."""
    reason = " ".join(options.reason)
    common.client(options).drain(options.node, reason)
    print(f"node {options.node} is drained: {reason}; `labq resume {options.node}` ends it")
    return 0
