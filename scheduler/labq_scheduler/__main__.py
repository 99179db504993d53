"""``labq-scheduler``: the server of a lab."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labq.program import exit_status, named_redis, set_up_logging, settings_parser
from labq.settings import Settings

if TYPE_CHECKING:
    from labq.store import Store

#: Command -> what it does. All but the first print one line of JSON.
NODE_COMMANDS = {
    "join": "print a one-time token with which that node may join within ten minutes (labq-worker --join)",
    "drain": "place no more jobs on it; needs --reason; a drain of somebody else stays",
    "resume": "place jobs on it again",
    "jobs": "say which jobs hold it",
    "status": "the same: what is known of it",
    "forget": "forget it and revoke its tokens; refused while jobs hold it or it takes work",
}


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
    _declare_node_commands(found)
    return found


def _declare_node_commands(found: argparse.ArgumentParser) -> None:
    nodes = found.add_argument_group(
        "a node, for plays (on the control machine; each ends at once, and may be repeated)"
    )
    one = nodes.add_mutually_exclusive_group()
    for flag, text in NODE_COMMANDS.items():
        one.add_argument(f"--node-{flag}", metavar="NAME", help=text)
    nodes.add_argument("--reason", metavar="TEXT", help="why it is drained, for people")
    nodes.add_argument("--if-reason", metavar="TEXT", help="resume only what was drained for this reason")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; return the exit status."""
    said = vars(parser().parse_args(arguments))
    return exit_status(lambda: _run(said))


def _run(said: dict[str, Any]) -> None:
    only = said.pop("only")
    admin, uid, gid, node = (said.pop(name) for name in ("add_admin", "uid", "gid", "add_node"))
    commands = {command: said.pop(f"node_{command}") for command in NODE_COMMANDS}
    reason, if_reason = said.pop("reason"), said.pop("if_reason")
    settings = Settings(said)
    set_up_logging(settings.text("log_level"))
    if admin or node:
        _first_people(settings, admin, uid, gid, node)
        return
    for command, name in commands.items():
        if name is not None:
            _node_command(settings, command, name, reason, if_reason)
            return
    from labq_scheduler.serve import serve

    serve(settings, only)


def _first_people(
    settings: Settings, admin: str | None, uid: int | None, gid: int | None, node: str | None
) -> None:
    from labq_scheduler.first_people import add_admin, add_node

    store = _store(settings)
    if admin:
        sys.stdout.write(add_admin(store, admin, uid, gid) + "\n")
    if node:
        sys.stdout.write(add_node(store, node) + "\n")


def _node_command(
    settings: Settings, command: str, name: str, reason: str | None, if_reason: str | None
) -> None:
    import json

    from labq.clock import now
    from labq_scheduler import node_commands
    from labq_scheduler.verbs.join import make_join_token

    store, at = _store(settings), now()
    try:
        match command:
            case "join":
                said = make_join_token(store, name, settings.text("redis_url_nodes"))
            case "drain":
                said = json.dumps(node_commands.drain(store, name, reason or "", now=at))
            case "resume":
                said = json.dumps(node_commands.resume(store, name, if_reason, now=at))
            case "forget":
                said = json.dumps(node_commands.forget(store, name, now=at))
            case _:
                said = json.dumps(node_commands.status(store, name, now=at))
    finally:
        store.connection.close()
    sys.stdout.write(said + "\n")


def _store(settings: Settings) -> Store:
    from labq.store import Store

    return Store(named_redis(settings))


if __name__ == "__main__":
    sys.exit(main())
