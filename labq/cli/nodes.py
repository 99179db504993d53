"""The machines: state, free cores and memory, and each GPU with who holds it."""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("node", metavar="NODE", nargs="?", help="this one only")
    parser.add_argument("--remove", metavar="NAME", help="admin: forget a node that is gone for good")
    common.add_json(parser)


def run(options: Any) -> int:
    """Ask and print."""
    import sys

    from labq.cli import terminal
    from labq.cli.render.nodes import nodes_text
    from labq.clock import now

    client = common.client(options)
    if options.remove:
        client.remove_node(options.remove)
        print(f"node {options.remove} is forgotten; it is known again when its labq-worker starts")
        return 0
    found = client.node(options.node) if options.node else client.nodes()
    if options.json:
        terminal.print_json(found)
        return 0
    nodes = found if isinstance(found, list) else [found]
    if not nodes:
        terminal.note("no node has registered yet; an admin adds one: labq node add NAME. Or `labq up` here")
        return 0
    sys.stdout.write(nodes_text(nodes, now(), terminal.width(), colours=terminal.colours()))
    return 0
