"""``labq-scheduler``: the server of a lab."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from labq.errors import BadInputError
from labq.program import exit_status, set_up_logging, settings_parser
from labq.settings import Settings


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = settings_parser(
        "labq-scheduler", "server", "The labq server: HTTP API, deciding loop, records.",
        epilog="An address with a password belongs into the environment: command lines are visible to everybody.",
    )  # fmt: skip
    found.add_argument("--only", choices=("api", "loop"), help="run one part; by default both")
    first = found.add_argument_group("before the first start (each prints a token, once, and ends)")
    first.add_argument("--add-admin", metavar="NAME", help="make an admin")
    first.add_argument(
        "--uid", type=int, metavar="N", help="unix id of the admin's containers; default: their account here"
    )
    first.add_argument("--gid", type=int, metavar="N", help="unix group id, likewise")
    first.add_argument(
        "--add-node", metavar="NAME", help="make the token of a node's agent (LABQ_NODE_TOKEN)"
    )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; return the exit status."""
    said = vars(parser().parse_args(arguments))
    return exit_status(lambda: _run(said))


def _run(said: dict[str, Any]) -> None:
    only = said.pop("only")
    admin, uid, gid, node = (said.pop(name) for name in ("add_admin", "uid", "gid", "add_node"))
    settings = Settings(said)
    set_up_logging(settings.text("log_level"))
    if admin or node:
        _first_people(settings, admin, uid, gid, node)
        return
    from labq_scheduler.serve import serve

    serve(settings, only)


def _first_people(
    settings: Settings, admin: str | None, uid: int | None, gid: int | None, node: str | None
) -> None:
    from labq.store import Store
    from labq_scheduler.first_people import add_admin, add_node

    if not settings.text("redis_url"):
        raise BadInputError("no Redis is named", "set LABQ_REDIS_URL as for the server: see scheduler.env")
    store = Store(settings.text("redis_url"))
    if admin:
        sys.stdout.write(add_admin(store, admin, uid, gid) + "\n")
    if node:
        sys.stdout.write(add_node(store, node) + "\n")


if __name__ == "__main__":
    sys.exit(main())
