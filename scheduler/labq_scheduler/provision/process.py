"""The service: takes runs from the queue, starts a driver for each, and ends runs whose driver died.

A driver is a process of its own. It outlives this one: a play that upgrades the control machine restarts the service.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping

from labq.clock import monotonic, now
from labq.errors import ConflictError, LabqError, NotFoundError
from labq.program import named_redis
from labq.provision import FINAL, Run, RunEvent, RunState
from labq.sdnotify import under_systemd
from labq.settings import SETTINGS, Settings
from labq.store import Store
from labq.store.messages import TakeWork
from labq.wire import PROVISION, PROVISION_QUEUE
from labq_scheduler.provision.leftovers import tidy_up
from labq_scheduler.provision.locks import Alive
from labq_scheduler.provision.orphans import end_orphans
from labq_scheduler.provision.places import LabDir, lab_dir, playbooks_dir
from labq_scheduler.provision.tally import Tally, still_running

log = logging.getLogger(__name__)
#: Seconds between two looks at what there is to do: messages are only hints.
EVERY = 2.0
#: Seconds that a driver may take until it holds the lock by which it is known to live. Python starts in 0.3.
START = 20.0
#: Seconds after which taking messages hangs: one is waited for 60 s (store/messages.py), tried four times.
MESSAGES_HANG = 600.0
#: Seconds after which a look hangs: Redis answers within 15 s or not at all, tried four times, several in a row.
LOOK_HANGS = 600.0
#: Drivers that are started for a run that none of them begins.
TRIES = 3


class Provisioner:
    """Starts drivers and looks after them."""

    def __init__(self, store: Store, lab: LabDir, env: Mapping[str, str]) -> None:
        """Prepare.

        Args:
            store: with the runs.
            lab: the lab directory.
            env: of the drivers.
        """
        self._store, self._lab, self._env = store, lab, env
        self._lock = threading.Lock()
        self._drivers: dict[str, subprocess.Popen[bytes]] = {}
        #: run -> how often a driver was started, and when last
        self._started: dict[str, tuple[int, float]] = {}
        #: run -> why its last driver did not begin it
        self._why: dict[str, str] = {}
        self._active = 0
        # Runs are ended also when labq's files are gone: nothing is read from them then.
        store.connection.load("provision_write")
        self.stop = threading.Event()

    def hand_over(self, run_id: str) -> None:
        """Take a message: a run was written down. Returns at once."""
        try:
            run = self._store.provision.get(run_id)
        except NotFoundError as error:
            log.error("%s", error.what)  # noqa: TRY400 - no traceback helps
            return
        if run.state is RunState.QUEUED:
            self._start(run)

    def look(self) -> None:
        """Say that we live, start what no message told of, and end what lost its driver."""
        self._store.provision.beat()
        active = self._store.provision.active()
        self._active = len(active)
        for run in active:
            try:
                self._look_at(run)
            except LabqError:
                raise  # Redis is away, for all of them
            except Exception:
                log.exception("looking after run %s; the others are looked after all the same", run.id)
        with self._lock:
            ids = {run.id for run in active}
            for name in list(self._drivers):
                self._note_end(name)
            self._drivers = {name: one for name, one in self._drivers.items() if one.poll() is None}
            self._started = {name: one for name, one in self._started.items() if name in ids}
            self._why = {name: one for name, one in self._why.items() if name in ids}

    def _look_at(self, run: Run) -> None:
        if self._driven(run.id):
            return
        tries, last = self._started.get(run.id, (0, 0.0))
        if monotonic() - last < START and self._running(run.id):
            return
        # Read again: it may have ended between the list and the look at its lock.
        run = self._store.provision.get(run.id)
        if run.state is RunState.QUEUED and tries < TRIES:
            self._start(run)
        elif run.state not in FINAL:
            self.bury(run)

    def doing(self) -> str:
        """Return what goes on, in one line."""
        return f"{self._active} runs have not ended"

    def bury(self, run: Run) -> None:
        """End a run whose driver died; say what may still be going on."""
        ended = end_orphans(self._lab.run(run.id))
        tidy_up(self._lab.run(run.id))
        tally = Tally(run.hosts, str(self._lab.root))
        number = 0
        while events := self._store.provision.events(run.id, number, 500):
            number += len(events)
            for one in events:
                tally.take(RunEvent(0.0, *(one[key] for key in RunEvent.__slots__[1:])))
        notes = [self._end_of_driver(run), f"{ended} processes of ansible were ended" if ended else ""]
        text = ". ".join(part for part in notes if part) + ". " + still_running(tally.busy())
        stats = tally.stats(None)
        end = run.moved(
            RunState.FAILED, ended=now(), stats=stats, failures=tally.failures(None), note=text.strip()
        )
        try:
            self._store.provision.write(run, end)
        except ConflictError as error:
            log.info("%s", error.what)
        else:
            log.warning("run %s: %s", run.id, text)

    def _end_of_driver(self, run: Run) -> str:
        tries, _ = self._started.get(run.id, (0, 0.0))
        if run.state is not RunState.QUEUED or tries < TRIES:
            return "Its driver died before the run ended"
        with self._lock:
            self._note_end(run.id)
        return (
            f"Nothing ran: {tries} drivers were started, and none came so far as to begin it"
            f" ({self._why.get(run.id, 'the last one hangs')}). On the control machine"
            " `journalctl -u labq-provisioner -n 50` says more; if labq was removed or replaced there, install"
            " labq[provision] again, systemctl restart labq-provisioner, and ask for the run again"
        )

    def run(self, on_turn: Callable[[], None]) -> None:
        """Look again and again, in a thread, until told to stop.

        Args:
            on_turn: called before each look.
        """
        while not self.stop.is_set():
            on_turn()
            try:
                self.look()
            except LabqError as error:
                log.warning("%s", error.what)
            except Exception:
                log.exception("looking after runs")
            self.stop.wait(EVERY)

    def _start(self, run: Run) -> None:
        with self._lock:
            if self._running(run.id):
                return
            tries, _ = self._started.get(run.id, (0, 0.0))
            self._started[run.id] = (tries + 1, monotonic())
            # The environment says which Redis; it is not on the command line.
            # -P: never a module of the directory that we were started in.
            command = [sys.executable, "-P", "-m", "labq_scheduler.provision", "--drive", run.id]
            try:
                self._drivers[run.id] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, start_new_session=True, env=dict(self._env)
                )
            except OSError as error:
                # Python itself may be gone, or there is no process to be had; the next look tries again.
                self._why[run.id] = f"{sys.executable}: {error.strerror or error}"
                log.warning("run %s: no driver starts: %s", run.id, self._why[run.id])
                return
        log.info("run %s: %s for %s", run.id, run.request.playbook, run.request.limit or "all its hosts")

    def _note_end(self, run_id: str) -> None:
        """Remember how the last driver of a run ended, before it is started again or forgotten. With the lock."""
        code = self._drivers[run_id].poll() if run_id in self._drivers else None
        if code is not None:
            self._why[run_id] = (
                f"the last one was killed by signal {-code}" if code < 0 else f"exit status {code}"
            )

    def _running(self, run_id: str) -> bool:
        found = self._drivers.get(run_id)
        return found is not None and found.poll() is None

    def _driven(self, run_id: str) -> bool:
        return Alive(self._lab.run(run_id)).held()


def driver_environment(settings: Settings) -> dict[str, str]:
    """Return our environment with the settings in force, also those that were given as flags."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LABQ_")}
    rows = [row for row in SETTINGS if "provisioner" in row.used_by]
    return env | {row.env: settings.text(row.name) for row in rows if settings.text(row.name)}


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. In the main thread.

    Raises:
        BadInputError: a setting is missing or not legal.
    """
    url = named_redis(settings)
    lab = lab_dir(settings)
    lab.check()
    playbooks = playbooks_dir(settings)
    supervised = under_systemd()  # before drivers get our environment: they must not speak for us
    service = Provisioner(Store(url), lab, driver_environment(settings))
    supervised.ready("waits for Redis")
    work = TakeWork(
        url, PROVISION_QUEUE, "provisioner", {PROVISION: (service.hand_over, (str,))}, service.stop.set,
        on_turn=supervised.loop("messages", MESSAGES_HANG).beat,
    )  # fmt: skip
    looks = supervised.loop("look", LOOK_HANGS)
    watcher = threading.Thread(target=service.run, args=(looks.beat,), name="watch", daemon=True)
    watcher.start()
    supervised.does(service.doing)
    log.info("runs the playbooks of %s on the machines of %s", playbooks, lab.inventory)
    work.run()
    supervised.stopping()
    service.stop.set()
    log.info("stopped; runs that had begun go on")
