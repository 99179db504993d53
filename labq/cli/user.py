"""Admin: the people of this lab and their tokens.

labq user add hiro --uid 1001 --gid 1001     add or change a person; containers run with these ids
labq user set hiro --group vision --slack U012AB3CD
                                             change what is named, leave the rest
labq user token hiro                         print a new token, this once
labq user ls
labq user rm hiro                            forget a person and all their tokens; jobs stay
"""

from __future__ import annotations

from labq.cli import parser as common
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ACTIONS = ("add", "set", "ls", "rm", "token")


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("action", metavar="ACTION", help="add, set, ls, rm or token")
    parser.add_argument("name", metavar="NAME", nargs="?", help="the person")
    parser.add_argument("--uid", metavar="N", type=common.whole, help="add, set: user id (`id -u NAME`)")
    parser.add_argument("--gid", metavar="N", type=common.whole, help="add, set: group id (`id -g NAME`)")
    parser.add_argument("--admin", action="store_true", help="add, set: may do everything")
    parser.add_argument(
        "--group", metavar="GROUP", help="add, set: `labq usage --by group` sums up by it; '' = none"
    )
    parser.add_argument(
        "--slack", metavar="ID", help="add, set: Slack member id, such as U012AB3CD; '' = none"
    )
    common.add_json(parser)


def run(options: Any) -> int:
    """Do it."""
    from labq.cli import terminal

    client = common.client(options)
    _check(options)
    if options.action == "ls":
        users = client.users()
        if options.json:
            terminal.print_json(users)
        else:
            print(_table(users), end="")
        return 0
    if options.action in {"add", "set"}:
        client.put_user(
            options.name,
            uid=options.uid,
            gid=options.gid,
            admin=options.admin if options.action == "add" else options.admin or None,
            group=options.group,
            slack_id=options.slack,
        )
        if options.action == "set":
            print(f"{options.name} is changed")
        else:
            print(f"{options.name} is known; `labq user token {options.name}` prints a token for them")
    elif options.action == "rm":
        client.remove_user(options.name)
        print(f"{options.name} is forgotten, and so are their tokens")
    else:
        print(client.new_token(options.name))
        terminal.note(
            f"{options.name} puts it into LABQ_TOKEN or the configuration file; it is not shown again"
        )
    return 0


def _check(options: Any) -> None:
    if options.action not in _ACTIONS:
        from labq.errors import closest

        near = closest(options.action, list(_ACTIONS))
        hint = f"did you mean {near}? " if near else ""
        raise BadInputError(
            f"labq user has no action {options.action!r}", f"{hint}legal: {', '.join(_ACTIONS)}"
        )
    if options.action != "ls" and not options.name:
        raise BadInputError(f"labq user {options.action} needs a name", f"labq user {options.action} NAME")
    if options.action == "set":
        _check_set(options)
    if options.action == "add" and (options.uid is None or options.gid is None):
        raise BadInputError(
            "labq user add needs --uid and --gid: their containers run with these ids",
            f"labq user add {options.name} --uid $(id -u {options.name}) --gid $(id -g {options.name})",
        )


def _check_set(options: Any) -> None:
    said = (options.uid, options.gid, options.group, options.slack)
    if all(value is None for value in said) and not options.admin:
        raise BadInputError(
            "labq user set: nothing is to be changed",
            f"name what is: labq user set {options.name} --group GROUP --slack ID --uid N --gid N --admin",
        )


def _table(users: Any) -> str:
    from labq.cli import terminal
    from labq.cli.render.text import clean, table

    rows = [
        [
            clean(str(u["name"])),
            str(u["uid"]),
            str(u["gid"]),
            "admin" if u.get("admin") else "agent" if u.get("agent") else "",
            clean(str(u.get("group") or "")),
            clean(str(u.get("slack_id") or "")),
        ]
        for u in users
    ]
    return table(["NAME", "UID", "GID", "ROLE", "GROUP", "SLACK"], rows, terminal.width())
