"""GPU-hours by person, group or node: allocated by the queue, truly busy, and used outside the queue.

Everybody may see everybody's. BUSY and IDLE are what agents measured of ALLOCATED ("-" = they did not: simulated
GPUs are never measured). CHARGED is what fair share counts now: what was used long ago counts for less.
"""

from __future__ import annotations

from labq.cli import parser as common
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BY = ("user", "group", "node")


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("--by", metavar="WHAT", default="user", help="user (default), group or node")
    parser.add_argument("--since", metavar="WHEN", help="from then on: 7d (default), or an RFC 3339 time")
    parser.add_argument("--until", metavar="WHEN", help="up to then: the same; default: now")
    parser.add_argument("--me", action="store_true", help="yours only")
    parser.add_argument("--csv", action="store_true", help="print comma-separated values, for a spreadsheet")
    common.add_json(parser)


def run(options: Any) -> int:
    """Ask, and print a table, CSV or JSON."""
    import sys

    from labq.cli import terminal

    _check(options)
    client = common.client(options)
    user = str(client.me()["name"]) if options.me else None
    found = client.usage(options.by, since=options.since, until=options.until, user=user)
    if options.json:
        terminal.print_json(found)
        return 0
    from labq.cli.render import usage as render

    if options.csv:
        sys.stdout.write(render.usage_csv(found))
    elif not found["rows"]:
        terminal.note(render.nothing(found, user))
    else:
        sys.stdout.write(render.usage_text(found, terminal.width(), colours=terminal.colours()))
    return 0


def _check(options: Any) -> None:
    if options.by not in BY:
        from labq.errors import closest

        near = closest(options.by, list(BY))
        hint = f"did you mean {near}? " if near else ""
        raise BadInputError(f"--by {options.by!r} is not known", f"{hint}legal: {', '.join(BY)}")
    if options.csv and options.json:
        raise BadInputError("--csv and --json were both given", "choose one")
