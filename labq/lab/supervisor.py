"""Starts Redis, server, agent and perhaps the notifier of one machine, watches them, and stops them. Jobs outlive all of it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from time import monotonic

from labq.client import Client
from labq.errors import LabqError, UnavailableError
from labq.lab import preflight, record, redis_server
from labq.lab.child import Child
from labq.lab.people import admit, configure, invoker
from labq.lab.plan import Plan, child_environment, socket_path
from labq.lab.welcome import already_up, welcome

#: Seconds in which a part must be ready; a Redis with much to load may take long.
_READY = {"redis": 120.0, "server": 60.0, "agent": 60.0}
#: Seconds between SIGTERM and SIGKILL of a part.
PATIENCE = {"agent": 20.0, "notifier": 20.0, "server": 15.0, "redis": 30.0}
#: The order in which parts are stopped.
STOP_ORDER = ("agent", "notifier", "server", "redis")
_POLL = 0.2


class Supervisor:
    """One lab on one machine."""

    def __init__(self, plan: Plan, report: Callable[[str], None], log: Callable[[str], None]) -> None:
        """Start nothing yet.

        Args:
            plan: what is asked for.
            report: takes lines for the person until everything is ready.
            log: takes lines about what happens later.
        """
        self._plan, self._report, self._log = plan, report, log
        self._children: list[Child] = []
        self._stop = Event()

    def run(self, ready: Callable[[bool], None]) -> int:
        """Run until a signal asks to stop.

        Args:
            ready: called with True when everything answers, with False when another supervisor runs it already.

        Returns:
            The exit status.
        """
        plan = self._plan
        preflight.prepare_data_dir(plan.data_dir)
        with record.locked(plan.data_dir) as mine:
            if not mine:
                self._report(already_up(plan, record.read(plan.data_dir)))
                ready(False)
                return 0
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, lambda *_: self._stop.set())
            try:
                self._start()
                if not self._stop.is_set():
                    ready(True)
                self._watch()
            finally:
                self._end()
        return 0

    def _start(self) -> None:
        plan = self._plan
        end_orphans(plan.data_dir, self._log)
        preflight.check_programs()
        preflight.check_engine()
        preflight.check_port(plan)
        redis_url = plan.redis_url or self._start_redis()
        if self._stop.is_set():
            return
        from labq.store import Store

        person = invoker(os.environ, os.getuid(), os.getgid())
        store = Store(redis_url)
        token, node_token = admit(store, plan, person)
        env = child_environment(plan, redis_url, node_token, os.environ)
        if os.getuid() != 0:
            env.setdefault("LABQ_RUN_DIR", str(plan.data_dir / "run"))  # /run is root's
        client = Client(plan.server, token)
        server = self._begin("server", [sys.executable, "-m", "labq_scheduler"], env)
        self._wait(server, lambda: _ready(client))
        agent = self._begin("agent", [sys.executable, "-m", "labq_worker"], env)
        self._wait(agent, lambda: _node(client, plan.node) is not None)
        if self._stop.is_set():
            return
        if plan.notify:  # nobody waits for it: jobs run without it
            self._begin("notifier", [sys.executable, "-m", "labq_scheduler.notify"], env)
        hints = configure(
            plan, person, token, os.environ, lambda other: store.people.whose(other) is not None
        )
        for line in welcome(plan, _node(client, plan.node) or {}, hints):
            self._report(line)
        client.close()

    def _start_redis(self) -> str:
        directory = self._plan.data_dir / "redis"
        socket_file = socket_path(self._plan.data_dir, preflight.runtime_dir(), os.getuid())
        socket_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        preflight.check_private(socket_file.parent)
        argv = redis_server.command(redis_server.program(), directory, socket_file)
        redis = self._begin("redis", argv, os.environ)
        self._wait(redis, lambda: redis_server.answers(socket_file))
        return redis_server.url(socket_file)

    def _begin(self, name: str, argv: list[str], env: Mapping[str, str]) -> Child:
        child = Child(name, argv, env, self._plan.log_dir / f"{name}.log", PATIENCE[name])
        self._children.append(child)
        child.start()
        self._write_down()
        return child

    def _wait(self, child: Child, is_ready: Callable[[], bool]) -> None:
        """Wait until a part answers.

        Raises:
            UnavailableError: it ended, or took too long; with the end of its log.
        """
        deadline = monotonic() + _READY[child.name]
        while not self._stop.is_set():
            status = child.ended()
            if status is not None or monotonic() > deadline:
                how = "did not get ready in time" if status is None else f"ended at once (status {status})"
                raise UnavailableError(
                    f"the {child.name} {how}; the end of its log:\n{child.last_lines()}",
                    f"the whole log is {child.log}",
                )
            if is_ready():
                return
            self._stop.wait(0.05)

    def _watch(self) -> None:
        told: set[str] = set()
        while not self._stop.wait(_POLL):
            for child in self._children:
                status, pause = child.ended(), child.restart_in()
                if pause is None:
                    told.discard(child.name)
                    continue
                if child.name not in told:
                    told.add(child.name)
                    self._log(f"the {child.name} ended (status {status}); starting it again in {pause:.1f} s")
                if pause == 0.0:
                    child.start()
                    self._write_down()

    def _end(self) -> None:
        for name in STOP_ORDER:
            for child in self._children:
                if child.name == name:
                    child.stop()
        if self._children:
            record.forget(self._plan.data_dir)

    def _write_down(self) -> None:
        children = {child.name: child.process for child in self._children if child.process is not None}
        me = record.Process.of(os.getpid())
        record.Record(self._plan.server, me, children).write(self._plan.data_dir)


def end_orphans(data_dir: Path, log: Callable[[str], None]) -> int:
    """Stop what a supervisor that was killed has left behind; return how many processes that were."""
    found = record.read(data_dir)
    if found is None:
        return 0
    ended = 0
    for name in STOP_ORDER:
        child = found.children.get(name)
        if child is not None and child.alive():
            log(f"stopping the {name} that an earlier `labq up` left behind (process {child.pid})")
            child.end(PATIENCE[name])
            ended += 1
    record.forget(data_dir)
    return ended


def _ready(client: Client) -> bool:
    try:
        return client.session.send("GET", "/readyz", accept=(503,), timeout=5.0, repeat=False).status == 200
    except LabqError:
        return False


def _node(client: Client, name: str) -> dict[str, object] | None:
    try:
        node = client.node(name)
    except LabqError:
        return None
    return node if node["state"] in {"up", "drained"} else None
