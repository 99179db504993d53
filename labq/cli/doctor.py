"""Check the client, the server and the Docker engine here; say of each finding what to do.

Exit status: 0 all is well, 1 something is not.
"""

from __future__ import annotations

from labq.cli import parser as common

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    common.add_json(parser)


def run(options: Any) -> int:
    """Look at everything; print findings as they come."""
    from labq.cli import terminal
    from labq.cli.checkup import findings
    from labq.cli.render.text import clean, paint

    colours = terminal.colours()
    found = []
    for finding in findings(options.server):
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
