"""One run, from its record to its end: check, wait for its hosts, play, judge."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labq.clock import now
from labq.errors import BadInputError, ConflictError, LabqError
from labq.provision import FINAL, Failure, Run, RunEvent, RunState
from labq.provision_request import REMOVE_NODE, NewNode
from labq_scheduler.provision import driver, hostkeys, inventory
from labq_scheduler.provision.desk import Desk
from labq_scheduler.provision.events import bounded, event_line, read_event
from labq_scheduler.provision.leftovers import make_scratch, tidy_up
from labq_scheduler.provision.locks import HostLocks
from labq_scheduler.provision.orphans import end_orphans
from labq_scheduler.provision.places import LabDir, check_playbook
from labq_scheduler.provision.tally import Tally, judge, still_running

log = logging.getLogger(__name__)
#: Seconds between two tries to get a host that another run holds.
AGAIN = 0.5


@dataclass(frozen=True, slots=True)
class Tools:
    """What a driver works with."""

    lab: LabDir
    playbooks: Path
    #: seconds after which a run is ended; None = never: one that drains a node waits for its jobs, and a task that
    #: hangs is ended by ansible.cfg
    timeout: float | None


def drive(desk: Desk, tools: Tools) -> Run:
    """Take a queued run to its end; return it. In the main thread."""
    os.umask(0o077)
    directory = tools.lab.run(desk.run.id)
    try:
        _drive(desk, tools, directory)
    except ConflictError as error:
        log.info("run %s: %s", desk.run.id, error.what)  # it was cancelled before it began
        desk.run = replace(desk.run, state=RunState.CANCELLED)
    except BadInputError as error:
        desk.write(
            desk.run.moved(RunState.FAILED, ended=now(), refused=(error.what, error.next), note=error.what)
        )
    except LabqError as error:
        desk.write(desk.run.moved(RunState.FAILED, ended=now(), note=f"{error.what}. {error.next}"))
    except OSError as error:
        log.exception("run %s", desk.run.id)
        note = (
            f"on the control machine: {error.filename or tools.lab.root}: {error.strerror or error}; make room there,"
            " or mend that, and ask for the run again: it does what is left"
        )
        if desk.run.state not in FINAL:
            desk.write(desk.run.moved(RunState.FAILED, ended=now(), note=note))
    except Exception as error:
        log.exception("run %s", desk.run.id)
        if desk.run.state not in FINAL:
            note = f"a fault of labq ({type(error).__name__}); the log of labq-provisioner has the traceback"
            desk.write(desk.run.moved(RunState.FAILED, ended=now(), note=note))
    finally:
        end_orphans(directory)  # ssh keeps its connections for a minute
        tidy_up(directory)
        desk.close()
    return desk.run


def _drive(desk: Desk, tools: Tools, directory: Path) -> None:
    lab, request = tools.lab, desk.run.request
    lab.check()
    directory.mkdir(mode=0o700, exist_ok=True)
    scratch = make_scratch(directory)
    check_playbook(tools.playbooks, request.playbook)
    playbook = tools.playbooks / request.playbook
    env = driver.environment(lab, tools.playbooks, desk.run.id, scratch)

    def resolve() -> tuple[str, ...]:
        return inventory.resolve(driver.BINARIES, lab, playbook, request.limit, request.tags, env).hosts

    hosts = resolve() if request.host is None else (request.host.name,)
    with HostLocks(lab.locks, hosts, desk.run.id) as locks:
        if not _wait(desk, locks, hosts):
            desk.write(desk.run.moved(RunState.CANCELLED, ended=now(), note="cancelled before anything ran"))
            return
        for left in locks.left:
            end_orphans(lab.run(left))
        if request.host is not None:
            _add(desk, lab, request.host, env, resolve)
        desk.write(desk.run.moved(RunState.RUNNING, started=now(), hosts=hosts, waits_for=()))
        _play(desk, tools, playbook, directory, env)


def _wait(desk: Desk, locks: HostLocks, hosts: tuple[str, ...]) -> bool:
    """Wait until all hosts are ours; return False when the run was cancelled meanwhile."""
    told: dict[str, str] = {}
    while held := locks.take():
        if held != told:
            told = held
            waits = tuple(holder for holder in held.values() if holder)
            for host, holder in held.items():
                desk.tell(_say(f"{host} is being worked on by run {holder or '?'}; this one waits for that"))
            desk.write(replace(desk.run, hosts=hosts, waits_for=waits))
        if desk.cancelled():
            return False
        threading.Event().wait(AGAIN)
    return not desk.cancelled()


def _add(desk: Desk, lab: LabDir, node: NewNode, env: dict[str, str], resolve: Callable[[], object]) -> None:
    groups, _ = inventory.named(driver.BINARIES, lab, env)
    inventory.check_new_name(node.name, groups)
    wrote = inventory.write_node(lab, node)
    try:
        resolve()
    except LabqError:
        if wrote:  # what is refused leaves nothing, least of all an inventory that nobody can read
            (lab.nodes / f"{node.name}.yml").unlink(missing_ok=True)
        raise
    if wrote:
        desk.tell(_say(f"wrote {lab.nodes / node.name}.yml"))
    address, port = inventory.where(lab, node.name)
    if node.new_key and hostkeys.forget(lab.known_hosts, address, port):
        desk.tell(_say(f"the ssh host key that was known of {node.name} is forgotten"))


def _play(desk: Desk, tools: Tools, playbook: Path, directory: Path, env: dict[str, str]) -> None:
    lab, request = tools.lab, desk.run.request
    tally = Tally(desk.run.hosts, str(lab.root))
    known = hostkeys.read(lab.known_hosts)

    def take(body: dict[str, Any]) -> None:
        event = read_event(body, now=now(), diff=request.diff)
        if event is not None:
            tally.take(event)
            desk.tell(event)
            with suppress(OSError):  # a disk that is full is no reason to stop half way on a machine
                journal.write(event_line(event).encode(errors="replace"))

    flags = [name for name, said in (("--check", request.check), ("--diff", request.diff)) if said]
    variables = {"labq_worker_remove_dead": True} if request.dead else {}
    with (directory / "log").open("ab", buffering=0) as journal:
        outcome = driver.play(
            lab, playbook, directory, env, limit=request.limit, tags=request.tags, variables=variables, flags=flags,
            timeout=tools.timeout, take=take, cancelled=desk.cancelled,
        )  # fmt: skip
    stats = tally.stats(outcome.stats)
    state = judge(outcome.rc, outcome.status, stats)
    notes = _new_keys(lab, known, desk.run.hosts)
    failures = tally.failures(outcome.stats) if state is RunState.FAILED else ()
    if outcome.stats is None:
        notes.append(still_running(tally.busy()))
    if outcome.status == "timeout":
        notes.append(f"it took longer than {tools.timeout:g} s (LABQ_PROVISION_TIMEOUT)")
    if state is RunState.FAILED and not failures and outcome.complaints:
        text = bounded("\n".join(outcome.complaints), 2000)
        failures = (
            Failure(
                "", "", request.playbook, text, f"mend what it names; the inventory is in {lab.inventory}"
            ),
        )
    if state is RunState.SUCCEEDED and request.playbook == REMOVE_NODE and not request.check:
        notes += [inventory.set_aside(lab, host) for host in desk.run.hosts]
    note = " ".join(part if part.endswith(".") else f"{part}." for part in notes if part)
    desk.write(desk.run.moved(state, ended=now(), stats=stats, failures=failures, note=note))


def _new_keys(lab: LabDir, known: set[str], hosts: tuple[str, ...]) -> list[str]:
    """Return a sentence for each ssh host key that came with this run; not for those of a run beside it."""
    names = inventory.addresses(lab)
    found = []
    for where, print_ in hostkeys.new(known, lab.known_hosts):
        name = names.get(where, where)
        if where not in names or name in hosts:
            found.append(f"{name} was seen for the first time, its ssh key is {print_}")
    return found


def _say(text: str) -> RunEvent:
    return RunEvent(now(), "say", message=text)
