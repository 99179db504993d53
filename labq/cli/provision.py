"""Admin: make the lab's machines what the inventory says, again and again; jobs that run are not disturbed.

labq provision                                everything, on all machines (site.yml)
labq provision gpu_nodes --limit gpu05        one playbook, on one machine; also hosts, groups, patterns: gpu_nodes:!gpu03
labq provision --tags docker,labq_worker      only these parts
labq provision --check --diff                 change nothing, show what would change
labq provision ls | show ID | follow ID | cancel ID
labq provision control --here                 on this machine, without a server: before there is one

The playbooks: site, control, gpu_nodes, preflight, drain, upgrade_driver, remove_node, backup, restore.
Ctrl-C asks whether the run is to go on. Exit status: 0 succeeded, 1 a host failed, 2 cancelled or refused.
"""

from __future__ import annotations

from labq.cli import parser as common
from labq.errors import BadInputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ACTIONS = ("ls", "show", "follow", "cancel")


def declare(parser: common.Parser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "what", metavar="PLAYBOOK", nargs="?", default="site.yml", help="or ls, show, follow, cancel"
    )
    parser.add_argument("id", metavar="ID", nargs="?", help="show, follow, cancel: of a run")
    parser.add_argument("--limit", metavar="HOSTS", help="only these hosts and groups")
    parser.add_argument("--tags", metavar="TAGS", help="only these parts, comma-separated: names of roles")
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--diff", action="store_true", help="show what changes in files")
    parser.add_argument("--here", action="store_true", help="run it on this machine, without a server")
    parser.add_argument("-d", "--detach", action="store_true", help="do not follow it")
    common.add_json(parser)


def run(options: Any) -> int:
    """Run a playbook, or look at runs."""
    _check(options)
    if options.what in _ACTIONS:
        return _look(options)
    request: dict[str, Any] = {"playbook": options.what, "check": options.check, "diff": options.diff}
    if options.limit:
        request["limit"] = options.limit
    if options.tags:
        request["tags"] = [tag for tag in options.tags.split(",") if tag]
    if options.here:
        from labq.cli.provision_here import run_here

        return run_here(request, json=options.json)
    from labq.cli.provisioning import run_on_server

    return run_on_server(common.client(options), request, detach=options.detach, json=options.json)


def _check(options: Any) -> None:
    action = options.what in _ACTIONS
    flags = [name for name in ("limit", "tags", "check", "diff", "here", "detach") if getattr(options, name)]
    if action and flags:
        raise BadInputError(
            f"labq provision {options.what} takes no --{flags[0]}", f"labq provision {options.what} ID"
        )
    if not action and options.id:
        raise BadInputError(
            f"labq provision: {options.id!r} is one word too many",
            f"a machine is named by --limit {options.id}; or say {', '.join(_ACTIONS)}",
        )
    if action and (options.what != "ls") != bool(options.id):
        what = "takes no id" if options.id else "needs the id of a run"
        raise BadInputError(f"labq provision {options.what} {what}", "labq provision ls lists them")
    if options.here and options.detach:
        raise BadInputError("--here and --detach: nobody would look after the run", "leave out --detach")


def _look(options: Any) -> int:
    import sys

    from labq.cli import terminal
    from labq.cli.render.provision import runs_text, summary
    from labq.clock import now

    client = common.client(options)
    if options.what == "follow":
        from labq.cli.provisioning import follow_on_server

        return follow_on_server(client, options.id, diff=False, json=options.json)
    found: Any
    match options.what:
        case "ls":
            found = client.provision_runs()
        case "show":
            found = client.provision_run(options.id)
        case _:
            found = client.cancel_provision(options.id)
    if options.json:
        terminal.print_json(found)
    elif options.what == "show":
        sys.stdout.write(summary(found, now(), terminal.width(), colours=terminal.colours()))
    elif options.what == "cancel":
        begun = found["state"] == "running"
        print(
            f"run {options.id} is being cancelled; labq provision follow {options.id} says what may still be going on"
            if begun
            else f"run {options.id} is cancelled; nothing was run"
        )
    elif found:
        sys.stdout.write(runs_text(found, now(), terminal.width()))
    else:
        terminal.note("no run yet; labq provision --check begins one that changes nothing")
    return 0
