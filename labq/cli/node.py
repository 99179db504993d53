"""Admin: put a machine into the lab, or take one out; the control machine does the work over ssh.

labq node add gpu05                          a bare Debian or Ubuntu with ssh becomes a node that takes jobs
labq node add gpu05 --host 10.0.0.5 --user admin --port 2222 --label rack=a --label group=vision
labq node add gpu05 --new-key                it was installed anew: its old ssh host key is forgotten
labq node remove gpu05                       drain, wait for its jobs, stop labq there, forget it
labq node remove gpu05 --dead                it is gone: ask nothing of it, forget it

What is written on the way: inventory/nodes/NAME.yml on the control machine, yours to edit.
`labq nodes` lists the machines; `labq doctor --node NAME` says what one lacks.
"""

from __future__ import annotations

from labq.cli import parser as common
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ACTIONS = ("add", "remove")
_OF_ADD = ("host", "user", "port", "label", "new_key")


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument("action", metavar="ACTION", help="add or remove")
    parser.add_argument("name", metavar="NAME", help="of the node: what `labq nodes` shows")
    parser.add_argument("--host", metavar="H", help="add: name or address of its sshd; else the name")
    parser.add_argument("--user", metavar="USER", help="add: to log in as; else the inventory's")
    parser.add_argument(
        "--port", metavar="N", type=common.whole, help="add: of its sshd; else the inventory's"
    )
    parser.add_argument(
        "--label", metavar="K=V", action="append", help="add: for constraints; may be repeated"
    )
    parser.add_argument(
        "--new-key", action="store_true", help="add: forget the ssh host key that is known of it"
    )
    parser.add_argument("--dead", action="store_true", help="remove: the machine is gone")
    parser.add_argument("-d", "--detach", action="store_true", help="do not follow it")
    common.add_json(parser)


def run(options: Any) -> int:
    """Do it."""
    _check(options)
    from labq.cli.provisioning import run_on_server
    from labq.provision_request import REMOVE_NODE

    request: dict[str, Any]
    if options.action == "add":
        request = {
            "host": {
                "name": options.name, "address": options.host or "", "user": options.user or "",
                "port": options.port or 0, "labels": _labels(options.label or []), "new_key": options.new_key,
            }
        }  # fmt: skip
    else:
        request = {"playbook": REMOVE_NODE, "limit": options.name, "dead": options.dead}
    return run_on_server(common.client(options), request, detach=options.detach, json=options.json)


def _check(options: Any) -> None:
    if options.action not in _ACTIONS:
        from labq.errors import closest

        near = {"rm": "remove", "delete": "remove"}.get(options.action) or closest(
            options.action, list(_ACTIONS)
        )
        hint = f"did you mean {near}? " if near else ""
        raise BadInputError(
            f"labq node has no action {options.action!r}",
            f"{hint}legal: {', '.join(_ACTIONS)}; `labq nodes` lists them",
        )
    wrong = [name for name in _OF_ADD if getattr(options, name)] if options.action == "remove" else []
    if options.action == "add" and options.dead:
        wrong = ["dead"]
    if wrong:
        raise BadInputError(
            f"labq node {options.action} takes no --{wrong[0].replace('_', '-')}", "labq node --help"
        )


def _labels(said: list[str]) -> dict[str, str]:
    found = {}
    for text in said:
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise BadInputError(f"--label {text!r} is not legal", "write --label rack=a")
        found[key] = value
    return found
