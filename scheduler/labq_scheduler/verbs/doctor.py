"""Doctor: what is wrong with the lab as the server sees it, and what to do about each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

from labq import __version__
from labq.errors import LabqError
from labq.node import is_older
from labq.store import keys
from labq.store.connection import answers
from labq.units import about_bytes, about_duration
from labq_scheduler.records.recorder import CURSOR
from labq_scheduler.verbs.lab import Lab

#: Bytes below which the disk counts as nearly full.
LOW_DISK = 5 * 2**30
#: Seconds after which an event should have been recorded.
LATE_RECORDS = 120.0
#: Seconds that a node's clock may differ.
CLOCK_SKEW = 2.0


def findings(lab: Lab, *, now: float, loop_seen: float | None) -> list[dict[str, Any]]:
    """Return findings ``{"name", "ok", "what", "next"}``, the server's own parts first.

    Args:
        lab: the parts.
        now: seconds since the epoch.
        loop_seen: when this process's deciding loop last made a turn; None = it has none.
    """
    checks: list[tuple[str, Callable[[], Iterator[dict[str, Any]]]]] = [
        ("redis", lambda: _redis(lab)),
        ("loop", lambda: _loop(now, loop_seen)),
        ("leader", lambda: _leader(lab)),
        ("disk", lambda: _disk(lab)),
        ("records", lambda: _records(lab, now)),
        ("rules", lambda: _rules(lab)),
        ("nodes", lambda: _nodes(lab, now)),
        ("passwords", lambda: _passwords(lab)),
    ]
    found: list[dict[str, Any]] = []
    for name, check in checks:
        try:
            found += check()
        except LabqError as error:
            found.append(_finding(name, False, error.what, error.next))
    return found


def _redis(lab: Lab) -> Iterator[dict[str, Any]]:
    info = lab.store.connection.info()
    version, used = info.get("redis_version", "?"), int(info.get("used_memory", 0))
    yield _finding("redis", True, f"Redis {version} answers; it uses {about_bytes(used)}")
    durable = str(info.get("aof_enabled", 0)) == "1"
    yield _finding(
        "redis durability",
        durable,
        "Redis writes an append-only file"
        if durable
        else "Redis keeps nothing over a crash (no append-only file)",
        "" if durable else "set `appendonly yes` in redis.conf, or `redis-cli config set appendonly yes`",
    )


def has_leader(lab: Lab) -> bool:
    """Return whether a process decides at present, here or elsewhere."""
    return bool(answers(lab.store.connection.client.exists)(keys.LEADER))


def _leader(lab: Lab) -> Iterator[dict[str, Any]]:
    if has_leader(lab):
        yield _finding("leader", True, "a scheduler decides")
    else:
        what = "no scheduler decides: nothing is started"
        yield _finding("leader", False, what, "start labq-scheduler, or look at the log of the one that runs")


def _loop(now: float, seen: float | None) -> Iterator[dict[str, Any]]:
    if seen is None:
        yield _finding("loop", True, "this process decides nothing; another one does (see `leader`)")
        return
    ok = now - seen < 10
    what = (
        f"the deciding loop made its last turn {about_duration(now - seen)} ago" if seen else "it never ran"
    )
    yield _finding("loop", ok, what, "" if ok else "look at the server's log, restart labq-scheduler")


def _disk(lab: Lab) -> Iterator[dict[str, Any]]:
    free = shutil.disk_usage(lab.files.root).free
    ok = free > LOW_DISK
    yield _finding(
        "disk",
        ok,
        f"{about_bytes(free)} free in the data directory",
        "" if ok else "remove old outputs, or lower LABQ_KEEP_CONTEXTS",
    )


def _records(lab: Lab, now: float) -> Iterator[dict[str, Any]]:
    lab.history.ping()
    waiting = lab.store.events.read(lab.store.events.cursor(CURSOR), count=1)
    behind = now - float(waiting[0].fields["at"]) if waiting else 0.0
    ok = behind < LATE_RECORDS
    yield _finding(
        "records",
        ok,
        "the records answer" if ok else f"the records are {about_duration(behind)} behind",
        "" if ok else "look at the server's log for `recorder`",
    )


def _rules(lab: Lab) -> Iterator[dict[str, Any]]:
    state = lab.rules.state()
    if state.problem is not None:
        used = {"file": "those from before", "copy": "the last good ones"}.get(state.source, "the defaults")
        # Many mistakes are many lines; doctor has one, and `show` tells the rest.
        first, *more = state.problem.what.splitlines()
        what = f"the rules' file is not used, {used} are: {first.removesuffix(':')}"
        next_ = f"labq admin rules show lists them; {state.problem.next}" if more else state.problem.next
        yield _finding("rules", False, what, next_)
    elif state.rules.bound is not None and lab.site.max_time is None:
        yield _finding(
            "rules",
            False,
            "the rules bound how long a job waits, but jobs without a time limit may run for ever",
            "set LABQ_MAX_TIME, or leave out bound below [wait]",
        )
    else:
        name = "the defaults" if state.source == "defaults" else str(lab.rules.path)
        yield _finding("rules", True, f"the rules in force are {name}")


def _nodes(lab: Lab, now: float) -> Iterator[dict[str, Any]]:
    nodes = lab.board.nodes()
    if not nodes:
        yield _finding(
            "nodes",
            False,
            "no node has registered",
            "an admin makes a machine one: labq node add NAME; on this machine alone: labq up",
        )
    for node, readings in nodes:
        skew = float(readings.get("clock", node.heartbeat)) - node.heartbeat
        silence = now - node.heartbeat
        if not node.alive or silence > 15:
            what = f"{node.name} has been silent for {about_duration(silence)}"
            yield _finding(
                f"node {node.name}", False, what, "look at labq-worker there: systemctl status labq-worker"
            )
        elif abs(skew) > CLOCK_SKEW:
            way = "ahead of" if skew > 0 else "behind"
            what = f"{node.name}'s clock is {about_duration(abs(skew))} {way} the server's"
            yield _finding(
                f"node {node.name}", False, what, "switch on NTP on both: timedatectl set-ntp true"
            )
        elif "bad" in readings:
            what = f"{node.name}: {readings['bad']}"
            yield _finding(
                f"node {node.name}",
                False,
                what,
                "upgrade labq there, and restart labq-worker; its other GPUs get jobs",
            )
        elif node.drained:
            what = f"{node.name} takes no new jobs: {node.drained}"
            yield _finding(f"node {node.name}", False, what, f"when it is mended: labq resume {node.name}")
        else:
            simulated = sum(gpu.simulated for gpu in node.gpus)
            note = f" ({simulated} of them simulated)" if simulated else ""
            yield _finding(f"node {node.name}", True, f"{node.name} is up with {len(node.gpus)} GPUs{note}")
        if node.alive and is_older(node.version, __version__):
            yield _finding(
                f"labq on {node.name}",
                False,
                f"{node.name} runs labq {node.version}, this server {__version__}",
                f"labq provision --limit {node.name} --tags labq_package,labq_worker,labq_exporter; jobs run on",
            )
        for gpu in node.gpus:
            if gpu.fault:
                what = f"GPU {gpu.slot} of {node.name} ({gpu.model}) is not used: {gpu.fault}"
                yield _finding(
                    f"gpu {gpu.uuid}", False, what, "mend or replace it; it is used again by itself"
                )


def _passwords(lab: Lab) -> Iterator[dict[str, Any]]:
    """Nodes that joined before each had a user of Redis of its own, where others can have one."""
    users = lab.store.node_users
    if not lab.site.redis_url_nodes or not users.are_kept():
        return
    shared = sorted({node.name for node, _ in lab.board.nodes()} - users.names())
    if shared:
        yield _finding(
            "passwords",
            False,
            f"{', '.join(shared)} may do anything in Redis, with the lab's one password, also once removed",
            "give each its own: labq provision gpu_nodes --tags labq_worker; then change that password "
            "(docs/howto/compose.md)",
        )


def _finding(name: str, ok: bool, what: str, following: str = "") -> dict[str, Any]:
    return {"name": name, "ok": ok, "what": what, "next": following}
