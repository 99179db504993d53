"""The live picture of the lab in memory, kept by following the event stream.

Lives here: the thread that reads events and applies them; indexes that lists and decisions need.
Must not live here: decisions, HTTP. Redis stays the truth: a board that fell behind starts again from it.

The board is loaded *after* the position in the stream was noted, so events that the loaded records already
contain are applied again: each sets absolute values, so that the end is the same.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from labq.clock import monotonic, now
from labq.errors import LabqError, UnavailableError
from labq.image import Image
from labq.job import Job, decode
from labq.node import Node
from labq.spec import JobSpec
from labq.states import FINAL, HOLDING, JobState
from labq.store import Event, Store
from labq.store.events import id_key
from labq_scheduler.dependencies import Dependencies, Past
from labq_scheduler.explaining import Explaining
from labq_scheduler.learning import Learning, PastRuns
from labq_scheduler.pending import Pending
from labq_scheduler.policy.outside import outside_use
from labq_scheduler.policy.rules import Rules, RulesNow
from labq_scheduler.policy.why import let_go, why_held
from labq_scheduler.snapshot import Snapshot

log = logging.getLogger(__name__)

#: Ended jobs kept in memory, and for how long (seconds); older ones are read from Redis or the records.
KEEP_ENDED, KEEP_ENDED_SECONDS = 5000, 86400.0
#: Specs of equal text are parsed and kept once.
SPEC_CACHE = 4096
#: Seconds for which the first jobs wait for the records to say how long jobs run.
RECORDS_WAIT = 2.0
_FIELDS_WITHOUT_REPLACE = frozenset({"v", "spec"})


class Board:
    """Jobs, images and nodes as of the last event read. One thread writes, all may read."""

    def __init__(
        self,
        store: Store,
        past: Past | None = None,
        rules: RulesNow = Rules,
        runs: PastRuns | None = None,
    ) -> None:
        """Use ``store``; nothing is read before :meth:`start`.

        Args:
            store: the store.
            past: asks the records for jobs that Redis no longer has; None = there are none.
            rules: gives those in force, for saying why a job waits where nobody decides.
            runs: asks the records how long jobs ran; None = there are none.
        """
        self._store = store
        #: what each person is charged; it may ask the board, and must not fail
        self.usage: Callable[[float], Mapping[str, float]] = lambda at: {}
        self.jobs: dict[str, Job] = {}
        self.images: dict[str, Image] = {}
        self._learning = Learning(runs)
        #: what would be decided now
        self.explanation = Explaining(self.snapshot, rules)
        self._pending = Pending(self._learning.runtimes)
        self._held: OrderedDict[str, Job] = OrderedDict()
        self._holding: dict[str, dict[str, Job]] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._dependencies = Dependencies(store, self.jobs.get, past)
        self._specs: OrderedDict[str, JobSpec] = OrderedDict()
        self._nodes: list[tuple[Node, dict[str, Any]]] = []
        self._nodes_read = -1e9
        self._cursor = "0-0"
        self._loaded = False
        self._listeners: list[Callable[[Event], None]] = []
        self._changed = threading.Condition()
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)

    def start(self) -> None:
        """Begin to follow the stream in a thread."""
        self._learning.start()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._learning.stop()
        self._thread.join(timeout=3)

    @property
    def loaded(self) -> bool:
        """Return whether the board holds the lab's state (it may lag by what is still in the stream)."""
        return self._loaded

    def wait_caught_up(self, timeout: float = 2.0) -> bool:
        """Return True when every event written before this call has been applied, False on time-out."""
        return self.wait_for(self._store.events.last_id(), timeout)

    def wait_for(self, event_id: str, timeout: float = 2.0) -> bool:
        """Return True when the event ``event_id`` has been applied, False on time-out."""
        wanted = id_key(event_id)
        with self._changed:
            return self._changed.wait_for(
                lambda: self._stop.is_set() or (self._loaded and id_key(self._cursor) >= wanted), timeout
            )

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``callback`` in the board's thread after each applied event; return how to stop that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def get(self, job_id: str) -> Job | None:
        """Return a job that is active or ended lately."""
        return self.jobs.get(job_id)

    def nodes(self, max_age: float = 1.0) -> list[tuple[Node, dict[str, Any]]]:
        """Return the nodes with their latest readings, at most ``max_age`` seconds old."""
        if monotonic() - self._nodes_read > max_age:
            self._nodes = self._store.nodes.all_with_readings()
            self._nodes_read = monotonic()
        return self._nodes

    def holders(self, node: str) -> dict[str, list[Job]]:
        """Return the jobs that hold each GPU of a node, by uuid; key "" has all jobs that hold the node."""
        with self._lock:
            jobs = sorted(self._holding.get(node, {}).values(), key=lambda job: job.seq)
        found: dict[str, list[Job]] = {"": jobs}
        for job in jobs:
            for hold in job.gpus:
                found.setdefault(hold.uuid, []).append(job)
        return found

    def require_loaded(self) -> None:
        """Wait until what was written before this call is here.

        Raises:
            UnavailableError: the board holds nothing yet; an empty answer would be a false one.
        """
        self.wait_caught_up()
        if not self._loaded:
            raise UnavailableError(
                "the server has not read the lab's state from Redis yet",
                "try again in a moment; if it stays so: labq doctor, and the server's log",
                retry_after=1,
            )

    def why(self, job_id: str) -> str | None:
        """Return why a queued job waits; None when it does not wait or nobody knows yet. May ask Redis."""
        job = self.jobs.get(job_id)
        if job is None or job.state is not JobState.QUEUED:
            return None
        held = self.why_held(job, now())
        if held:
            return held
        explanation = self.explanation()
        with self._lock:
            key = self._pending.key_of(job_id)
            first = self._pending.first(key) if key is not None else None
            head = self.jobs.get(first or job_id)
        text = explanation.why(key, head) if key is not None and head is not None else None
        if text is None or head is None:
            return "it is next to be considered"
        return text if head.id == job_id else f"job {head.id}, which asks for the same, is before it: {text}"

    def why_held(self, job: Job, at: float) -> str | None:
        """Return why a job may not start yet, whatever is free; None when nothing holds it back. May ask Redis."""
        return why_held(job, at, self._dependencies.states([job]))

    def snapshot(self, at: float) -> Snapshot:
        """Return what a decision at ``at`` sees; jobs whose time has come leave the held ones."""
        nodes = self.nodes()
        with self._lock:
            waiting = list(self._held.values())
        # Outside the lock: these may ask Redis and the records, and the ledger asks the board.
        dependencies, usage = self._dependencies.states(waiting), self.usage(at)
        with self._lock:
            self._learn()
            for job in let_go(self._held.values(), at, dependencies):
                del self._held[job.id]
                self._pending.add(job)
            return Snapshot(
                now=at,
                nodes=[node for node, _ in nodes],
                holding={name: list(jobs.values()) for name, jobs in self._holding.items() if jobs},
                queue=self._pending.frozen(),
                held=list(self._held.values()),
                dependencies=dependencies,
                images=dict(self.images),
                outside=outside_use(nodes, self.jobs.get, at),
                usage=usage,
                runtimes=self._learning.runtimes.frozen(),
            )

    def oldest_pending(self) -> float | None:
        """Return when the job was submitted that has waited longest for resources; None = none waits for them."""
        with self._lock:
            return self._pending.oldest()

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state, as far as they are in memory."""
        counts: dict[str, int] = {}
        for job in list(self.jobs.values()):
            counts[job.state] = counts.get(job.state, 0) + 1
        return counts

    # -- the thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = 0.05
        while not self._stop.is_set():
            try:
                if not self._loaded:
                    self._load()
                    pause = 0.05
                events = self._store.events.read(self._cursor, block_ms=1000)
                if events:
                    self._apply_all(events)
            except UnavailableError as error:
                # What Redis lost with a crash must not live on here: load again.
                self._loaded = False
                log.warning("board: %s", error.what)
                self._stop.wait(pause)
                pause = min(2.0, pause * 2)
            except Exception:
                self._loaded = False
                log.exception("board: starting again from Redis")
                self._stop.wait(1.0)

    def _load(self) -> None:
        store = self._store
        # Estimates are made when a job is put: the records come first, if they are there.
        self._learning.wait(RECORDS_WAIT)
        cursor = store.events.last_id()
        ids = store.jobs.active_ids() + store.jobs.ended_ids(now() - KEEP_ENDED_SECONDS, KEEP_ENDED)[::-1]
        jobs = store.jobs.get_many(ids)
        images = store.images.get_many(store.images.all_keys())
        with self._lock:
            for index in (
                self.jobs,
                self._pending,
                self._held,
                self._holding,
                self._ended,
                self._dependencies,
            ):
                index.clear()
            self.images = images
            for job in jobs:
                self._learning.note(job)
            self._learn()
            for job in jobs:
                self._put(None, job)
        self._nodes_read = -1e9
        with self._changed:
            self._cursor = cursor
            self._loaded = True
            self._changed.notify_all()

    def _apply_all(self, events: list[Event]) -> None:
        with self._lock:
            for event in events:
                try:
                    self._apply(event)
                except (LabqError, KeyError, ValueError):
                    log.exception("board: event %s cannot be applied", event.id)
        for listener in list(self._listeners):
            for event in events:
                listener(event)
        with self._changed:
            self._cursor = events[-1].id
            self._changed.notify_all()

    def _apply(self, event: Event) -> None:
        fields = event.fields
        match event.type:
            case "submitted":
                self._submitted(fields)
            case "moved" | "noted" | "outputs":
                old = self.jobs.get(fields["id"])
                if old is None:
                    found = self._store.jobs.get_many([fields["id"]])
                    if found:
                        self._put(None, found[0])
                    return
                self._put(old, _changed(old, json.loads(fields["set"]), json.loads(fields.get("drop", "[]"))))
            case "node":
                self._nodes_read = -1e9
            case "image":
                self.images[fields["key"]] = self._store.images.get(fields["key"])

    def _submitted(self, fields: Any) -> None:
        number = fields["id"]
        flat = json.loads(fields["record"])
        spec = self._spec(flat["spec"])
        flat |= {"state": "queued", "seq": number}
        if not fields["indices"]:
            if number not in self.jobs:
                self._put(None, Job.from_fields(flat | {"id": number}, spec))
            return
        first: Job | None = None
        for index in json.loads(fields["indices"]):
            job_id = f"{number}.{index}"
            if job_id in self.jobs:
                continue
            if first is None:
                more = {"id": job_id, "array": number, "index": str(index)}
                first = Job.from_fields(flat | more, spec)
                self._put(None, first)
            else:
                self._put(None, replace(first, id=job_id, index=index))

    def _spec(self, text: str) -> JobSpec:
        spec = self._specs.get(text)
        if spec is None:
            spec = self._specs[text] = decode("spec", text)
            if len(self._specs) > SPEC_CACHE:
                self._specs.popitem(last=False)
        return spec

    # -- indexes ----------------------------------------------------------------------------------------

    def _learn(self) -> None:
        """Let the estimates rest on all that is known now; the lock is held."""
        self._learning.fold()

    def _put(self, old: Job | None, job: Job) -> None:
        if old is not None:
            self._unindex(old)
        self._learning.note(job, known=0 if old is None else len(old.attempts))
        self.jobs[job.id] = job
        self._dependencies.changed(job)
        if job.state is JobState.QUEUED:
            if job.spec.after or job.outputs_due or max(job.not_before, job.spec.not_before) > 0:
                self._held[job.id] = job
            else:
                self._pending.add(job)
        elif job.state in HOLDING:
            self._holding.setdefault(job.node or "", {})[job.id] = job
        elif job.state in FINAL:
            self._ended[job.id] = None
            while len(self._ended) > KEEP_ENDED:
                self.jobs.pop(self._ended.popitem(last=False)[0], None)

    def _unindex(self, job: Job) -> None:
        if job.state is JobState.QUEUED:
            self._held.pop(job.id, None)
            self._pending.remove(job)
        elif job.state in HOLDING:
            self._holding.get(job.node or "", {}).pop(job.id, None)
        self._ended.pop(job.id, None)


def _changed(job: Job, set_fields: dict[str, str], drop: list[str]) -> Job:
    """Return the job after the changes of an event."""
    values = {
        name: decode(name, text) for name, text in set_fields.items() if name not in _FIELDS_WITHOUT_REPLACE
    }
    for name in drop:
        if name not in _FIELDS_WITHOUT_REPLACE:
            values[name] = _ABSENT.get(name)
    return replace(job, **values)


#: What an absent field means when it is not None.
_ABSENT: dict[str, Any] = {"gpus": (), "attempts": (), "simulated": False}
