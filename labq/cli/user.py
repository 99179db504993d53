"""Admin: the people of this lab and their tokens.

labq user add hiro --uid 1001 --gid 1001     add or change a person; containers run with these ids
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

_ACTIONS = ("add", "ls", "rm", "token")


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("action", metavar="ACTION", help="add, ls, rm or token")
    parser.add_argument("name", metavar="NAME", nargs="?", help="the person")
    parser.add_argument("--uid", metavar="N", type=common.whole, help="add: user id (`id -u NAME`)")
    parser.add_argument("--gid", metavar="N", type=common.whole, help="add: group id (`id -g NAME`)")
    parser.add_argument("--admin", action="store_true", help="add: may do everything")
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
    if options.action == "add":
        client.put_user(options.name, uid=options.uid, gid=options.gid, admin=options.admin)
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
    if options.action == "add" and (options.uid is None or options.gid is None):
        raise BadInputError(
            "labq user add needs --uid and --gid: their containers run with these ids",
            f"labq user add {options.name} --uid $(id -u {options.name}) --gid $(id -g {options.name})",
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
        ]
        for u in users
    ]
    return table(["NAME", "UID", "GID", "ROLE"], rows, terminal.width())
