"""Check the client, the server and the Docker engine here; say of each finding what to do.

--node NAME asks a machine instead, over ssh from the control machine, for each thing that labq needs of it (admin).

Exit status: 0 all is well, 1 something is not.
"""

from __future__ import annotations

from labq.cli import parser as common
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("--node", metavar="NAME", help="admin: what that machine lacks to be a node")
    parser.add_argument("--here", action="store_true", help="--node: from this machine, without a server")
    common.add_json(parser)


def run(options: Any) -> int:
    """Look at everything; print findings as they come."""
    from labq.cli import terminal

    if options.here and not options.node:
        raise BadInputError("--here is for --node", "labq doctor --node NAME --here")
    if options.node:
        from labq.cli.checkup_node import node_findings

        source = node_findings(options)
    else:
        from labq.cli.checkup import findings

        source = findings(options.server)
    from labq.cli.render.text import clean, paint

    colours = terminal.colours()
    found = []
    for finding in source:
        found.append(finding)
        if options.json:
            continue
        mark = paint("ok  ", "green", colours) if finding["ok"] else paint("FAIL", "red", colours)
        print(f"{mark}  {clean(str(finding['name']))}: {clean(str(finding['what']))}", flush=True)
        if finding.get("next") and not finding["ok"]:
            print(f"        next: {clean(str(finding['next']))}", flush=True)
    if options.json:
        terminal.print_json(found)
    return 0 if all(finding["ok"] for finding in found) else 1
