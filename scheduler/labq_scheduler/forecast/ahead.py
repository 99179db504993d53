"""One future: the very ``decide`` is run from end to end of the jobs that run, until those asked for have started. Pure.

What is assumed: nobody submits anything more, nodes stay as they are, an image is ready ``IMAGE_TAKES`` after a node was
asked for it, who uses GPUs outside the queue has ended a day from now, and jobs that others wait for succeed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from labq.ending import EndReason, StopRequest
from labq.image import Image, ImageOnNode
from labq.job import Job
from labq.states import FINAL, JobState
from labq_scheduler.decide import decide
from labq_scheduler.decisions import Decisions, Start
from labq_scheduler.forecast.lengths import Lengths
from labq_scheduler.forecast.line import Waiting, with_jobs
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.outside import OutsideUse
from labq_scheduler.policy.reserve import ASSUMED_RUN
from labq_scheduler.policy.rules import Rules
from labq_scheduler.simulate.replay import Usage, running_parts
from labq_scheduler.snapshot import Snapshot

#: Seconds until an image is ready that a node is asked for now; a guess: a pull of 10 GB at 1 Gbit/s takes 90 s, and to
#: unpack it as long.
IMAGE_TAKES = 300.0
#: Seconds until outputs that are on their way have arrived: 10 GB over a network of 1 Gbit/s.
OUTPUTS_TAKE = 90.0
#: Held jobs that are thought of; of more, nothing is said.
MOST_HELD = 1000


@dataclass(frozen=True, slots=True)
class Now:
    """What all futures begin with."""

    snapshot: Snapshot
    rules: Rules
    waiting: Waiting
    ground: Ground
    #: jobs that wait for something else than room, and may start some day
    held: tuple[Job, ...]
    #: job or array -> jobs that must end before who depends on it may start
    members: Mapping[str, frozenset[str]]

    @staticmethod
    def of(snapshot: Snapshot, rules: Rules, ground: Ground | None = None) -> Now:
        """Return what futures of a snapshot begin with.

        Args:
            snapshot: the lab.
            rules: the site's.
            ground: what was found out before; it saves time, and is brought up to date.
        """
        now = snapshot.now
        nodes = [replace(node, heartbeat=float("inf")) for node in snapshot.nodes if node.takes_work(now)]
        held = tuple(job for job in snapshot.held[:MOST_HELD] if may_come(job, snapshot))
        queue = with_jobs(snapshot.queue, held, snapshot.runtimes) if held else snapshot.queue
        snapshot = replace(snapshot, nodes=nodes, queue=queue)
        ground = ground if ground is not None else Ground()
        ground.update(snapshot)
        waiting = Waiting(queue)
        waiting.set_aside(held)
        return Now(snapshot, rules, waiting, ground, held, _members(held, snapshot))


class Future:
    """What comes of a ``Now`` when jobs run as long as ``Lengths`` says."""

    def __init__(self, begin: Now, lengths: Lengths, coarse: float = 0.0) -> None:
        """Prepare.

        Args:
            begin: the present.
            lengths: how long jobs run.
            coarse: events that lie closer together than this part of the time since ``begin`` are taken together; who
                starts then starts when what it gets was given back, not at the last of them.
        """
        snapshot = begin.snapshot
        self.now = self._begin = snapshot.now
        #: job -> (when it starts, node)
        self.starts: dict[str, tuple[float, str]] = {}
        self.decisions = 0
        #: seconds since the epoch until which it is thought through; infinite when nothing more can happen
        self.looked = self.now
        self._snapshot, self._rules, self._lengths, self._coarse = snapshot, begin.rules, lengths, coarse
        self._waiting, self._ground = begin.waiting.copy(), begin.ground.copy()
        self._holding: dict[str, tuple[Job, ...]] = {
            name: tuple(jobs) for name, jobs in snapshot.holding.items()
        }
        self._images: dict[str, Image] = dict(snapshot.images)
        self._outside: OutsideUse = snapshot.outside
        self._usage = Usage(begin.rules.half_life, snapshot.usage, self.now)
        for owner, gpus in self._ground.held().items():
            self._usage.change(owner, gpus, self.now)
        #: what each job that runs holds
        self._running: dict[str, tuple[Job, ...]] = {}
        #: when the event lies that is looked at, and since the last decision: GPU or node -> when it was given back, and
        #: job -> when it was let go. With ``coarse`` these are earlier than ``now``
        self._moment, self._freed, self._released = self.now, dict[str, float](), dict[str, float]()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._members = {name: set(jobs) for name, jobs in begin.members.items()}
        self._held = {job.id: job for job in begin.held}
        self._plan()

    def run(self, wanted: Collection[str], until: float, go_on: Callable[[], bool] = lambda: True) -> None:
        """Go on until all wanted jobs have started, nothing more happens, or it is late enough.

        Args:
            wanted: jobs; empty = all that wait.
            until: seconds since the epoch.
            go_on: asked before each decision.
        """
        missing = set(wanted) - self.starts.keys()
        while go_on():
            for job_id in self._decide():
                missing.discard(job_id)
            if not missing if wanted else not len(self._waiting) and not self._held:
                return
            if not self._events:
                self.looked = float("inf")
                return
            self.looked = min(until, max(self.now, self._events[0][0]))
            if self.looked >= until:
                return
            self._advance()

    # -- events -----------------------------------------------------------------------------------------

    def _plan(self) -> None:
        for jobs in self._holding.values():
            for job in jobs:
                self._ends(self._lengths.end(job, self.now), (job,))
        for job in self._held.values():
            at = self._may_start(job)
            if not job.spec.after and at > self.now:
                self._at(at, lambda job=job: self._release(job))  # type: ignore[misc]
        for key, image in self._images.items():
            for node, said in image.nodes.items():
                if said.state == "preparing":
                    self._prepared(key, node)
        if self._outside:
            self._at(self.now + ASSUMED_RUN, self._outside_ends)
        for window in self._rules.windows:
            if window.until > self.now:  # nothing else may happen then: whom it kept away is looked at anew
                self._at(window.until, lambda: None)

    def _at(self, at: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (at, len(self._events) + self.decisions * 1_000_000, what))

    def _advance(self) -> None:
        self._freed.clear()
        first = self._events[0][0]
        # What should have happened before is made up for before anything later is looked at.
        last = self.now if first < self.now else first + self._coarse * (first - self._begin)
        while self._events and self._events[0][0] <= last:
            self._moment, _, what = heapq.heappop(self._events)
            self.now = max(self.now, self._moment)
            what()

    def _ends(self, at: float, parts: tuple[Job, ...]) -> None:
        self._running[parts[0].id] = parts

        def end() -> None:
            if self._running.get(parts[0].id) is not parts:
                return  # it is being stopped instead
            del self._running[parts[0].id]
            for part in parts:
                name = part.node or ""
                self._holding[name] = tuple(job for job in self._holding[name] if job is not part)
                for key in (name, *(hold.uuid for hold in part.gpus)):
                    self._freed[key] = self._moment
            self._usage.change(parts[0].owner, -float(sum(len(part.gpus) for part in parts)), self.now)
            self._over(parts[0])

        self._at(at, end)

    def _over(self, job: Job) -> None:
        """Release who waited for this job only."""
        for name in (job.id, job.array):
            members = self._members.get(name or "")
            if members is not None:
                members.discard(job.id)
                if not members:
                    del self._members[name or ""]
                    self._look_at_held()

    def _look_at_held(self) -> None:
        for job in list(self._held.values()):
            if any(after.job in self._members for after in job.spec.after):
                continue
            at = self._may_start(job)
            if at <= self.now:
                self._release(job)
            else:
                self._at(at, lambda job=job: self._release(job))  # type: ignore[misc]

    def _may_start(self, job: Job) -> float:
        """Return when nothing but other jobs holds it back any more."""
        outputs = 0.0 if job.outputs_due is None else self._begin + OUTPUTS_TAKE
        return max(job.not_before, job.spec.not_before, outputs)

    def _release(self, job: Job) -> None:
        if self._held.pop(job.id, None) is not None:
            self._waiting.release(job)
            self._released[job.id] = self._moment

    def _stopped(self, job: Job, for_job: Job) -> None:
        """Let a job yield to another; it is not thought to come back: it would only yield again."""
        stop = StopRequest(EndReason.PREEMPTED, "labq", self.now, for_job=for_job.id)
        parts = tuple(replace(part, state=JobState.STOPPING, stop=stop) for part in self._running[job.id])
        for old, part in zip(self._running[job.id], parts, strict=True):
            name = part.node or ""
            self._holding[name] = tuple(part if other is old else other for other in self._holding[name])
        self._ends(self.now + job.grace, parts)

    def _prepared(self, key: str, node: str) -> None:
        def ready() -> None:
            image = self._images.get(key, Image(key))
            said = ImageOnNode("ready", self.now, "sha256:expected")
            self._images[key] = Image(key, {**image.nodes, node: said})

        self._at(self.now + IMAGE_TAKES, ready)

    def _outside_ends(self) -> None:
        self._outside = {}

    # -- deciding ---------------------------------------------------------------------------------------

    def _decide(self) -> Iterable[str]:
        queue = self._waiting.queue()
        if not queue.keys:
            return ()
        snapshot = replace(
            self._snapshot, now=self.now, holding=self._holding, queue=queue, held=(), dependencies={},
            images=self._images, outside=self._outside, usage=self._usage.at(self.now),
        )  # fmt: skip
        decisions = decide(snapshot, self._rules, self._ground)
        self.decisions += 1
        self._apply(decisions)
        return [start.job.id for start in decisions.starts]

    def _since(self, start: Start) -> float:
        """Return since when a job could have run that is started now."""
        keys = [hold.uuid for hold in start.fit.gpus] or [start.node]
        freed = max((self._freed[key] for key in keys if key in self._freed), default=self.now)
        return max(freed, self._released.get(start.job.id, 0.0))

    def _apply(self, decisions: Decisions) -> None:
        for start in decisions.starts:
            began = self._since(start)
            parts = running_parts(start, began)
            for part in parts:
                self._holding[part.node or ""] = (*self._holding.get(part.node or "", ()), part)
            self._usage.change(start.job.owner, float(sum(len(part.gpus) for part in parts)), self.now)
            self._ends(began + max(1.0, self._lengths.fresh(start.job)), parts)
            self.starts[start.job.id] = began, start.node
        self._waiting.started(start.job for start in decisions.starts)
        for preempt in decisions.preempts:
            self._stopped(preempt.job, preempt.for_job)
        for prepare in decisions.prepares:
            image = self._images.get(prepare.key, Image(prepare.key))
            said = ImageOnNode("preparing", self.now + IMAGE_TAKES)
            self._images[prepare.key] = Image(prepare.key, {**image.nodes, prepare.node: said})
            self._prepared(prepare.key, prepare.node)


def may_come(job: Job, snapshot: Snapshot) -> bool:
    """Return whether all that a held job waits for can still come about."""
    for after in job.spec.after:
        state = snapshot.dependencies.get(after.job)
        if state is None or (not after.any_end and state in FINAL and state is not JobState.SUCCEEDED):
            return False
    return True


def _members(held: Iterable[Job], snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """Return the active jobs of each job or array that somebody waits for."""
    names = {after.job for job in held for after in job.spec.after}
    if not names:
        return {}
    found: dict[str, set[str]] = {}
    every = [*snapshot.holding.values(), *snapshot.queue.jobs, snapshot.held]
    for jobs in every:
        for job in jobs:
            for name in names & {job.id, job.array}:
                found.setdefault(name or "", set()).add(job.id)
    return {name: frozenset(jobs) for name, jobs in found.items()}
