"""``labq-provisioner``: runs the playbooks on the lab's machines."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import Any

from labq.program import exit_status, set_up_logging, settings_parser
from labq.settings import Settings


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = settings_parser(
        "labq-provisioner", "provisioner",
        "Runs the playbooks that `labq provision` asks for, one run at a time on each machine.",
        epilog="On the control machine, on the host: it holds the ssh key to every machine.",
    )  # fmt: skip
    one = found.add_argument_group("one run, without a server (what `labq provision --here` does)")
    one.add_argument("--once", metavar="PLAYBOOK", help="run it, print JSON lines, and end")
    one.add_argument("--limit", metavar="HOSTS", help="only these hosts and groups")
    one.add_argument("--tags", metavar="TAGS", help="only these parts, comma-separated")
    one.add_argument("--check", action="store_true", help="change nothing")
    one.add_argument("--diff", action="store_true", help="show what changes")
    one.add_argument(
        "--request", metavar="JSON", help="the body of POST /v1/provision instead of the flags above"
    )
    found.add_argument("--drive", metavar="ID", help=argparse.SUPPRESS)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service, or one run; return the exit status."""
    said = vars(parser().parse_args(arguments))
    return exit_status(lambda: _run(said))


def _run(said: dict[str, Any]) -> None:
    own = {name: said.pop(name) for name in ("once", "limit", "tags", "check", "diff", "request", "drive")}
    settings = Settings(said)
    set_up_logging(settings.text("log_level"))
    if own["drive"]:
        _drive(settings, own["drive"])
    elif own["once"] or own["request"]:
        _once(settings, own)
    else:
        from labq_scheduler.provision.process import serve

        serve(settings)


def _drive(settings: Settings, run_id: str) -> None:
    """Be the driver of a run that is in Redis."""
    from labq.provision import RunState
    from labq.store import Store
    from labq_scheduler.provision.desk import RedisDesk
    from labq_scheduler.provision.drive import drive
    from labq_scheduler.provision.leftovers import forget_old_runs
    from labq_scheduler.provision.locks import Alive
    from labq_scheduler.provision.places import lab_dir

    lab = lab_dir(settings)
    alive = Alive(lab.run(run_id))
    if not alive.take():
        return  # another driver has it
    forget_old_runs(lab)
    store = Store(settings.text("redis_url"))
    run = store.provision.get(run_id)
    if run.state is not RunState.QUEUED:
        return
    desk = RedisDesk(store, run)
    signal.signal(signal.SIGTERM, lambda *_: desk.stop.set())
    drive(desk, _tools(settings))


def _once(settings: Settings, own: dict[str, Any]) -> None:
    """Do one run here and now."""
    import getpass
    import json
    import secrets

    from labq.clock import now
    from labq.errors import BadInputError
    from labq.provision import Run
    from labq.provision_request import Request
    from labq_scheduler.provision.desk import PrintDesk
    from labq_scheduler.provision.drive import drive
    from labq_scheduler.provision.leftovers import forget_old_runs
    from labq_scheduler.provision.locks import Alive
    from labq_scheduler.provision.places import lab_dir

    if own["request"]:
        try:
            body = json.loads(own["request"])
        except ValueError as error:
            raise BadInputError(f"--request is no JSON: {error}", 'write {"playbook": "site.yml"}') from None
    else:
        tags = [tag for tag in (own["tags"] or "").split(",") if tag]
        body = {
            "playbook": own["once"],
            "limit": own["limit"],
            "tags": tags,
            "check": own["check"],
            "diff": own["diff"],
        }
    request = Request.from_json(body)
    lab = lab_dir(settings)
    lab.check()
    desk = PrintDesk(Run(f"here-{secrets.token_hex(4)}", request, getpass.getuser(), now()))
    alive = Alive(lab.run(desk.run.id))
    alive.take()  # nobody else knows its id; what it writes is not forgotten while it runs
    forget_old_runs(lab)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: desk.stop.set())
    run = drive(desk, _tools(settings))
    if any(run.refused):
        raise BadInputError(*run.refused)


def _tools(settings: Settings) -> Any:
    from labq_scheduler.provision.drive import Tools
    from labq_scheduler.provision.places import lab_dir, playbooks_dir

    return Tools(lab_dir(settings), playbooks_dir(settings), settings.seconds("provision_timeout"))


if __name__ == "__main__":
    sys.exit(main())
