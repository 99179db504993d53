"""Replay a trace: time jumps from event to event, ``decide`` decides at each, and jobs run as long as they ran."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log
from typing import Protocol

from labq.ending import EndReason, StopRequest
from labq.gpu_request import GpuRequest
from labq.image import Image, ImageOnNode
from labq.job import Attempt, Job
from labq.node import Node
from labq.spec import JobSpec
from labq.states import JobState
from labq_scheduler.decide import decide
from labq_scheduler.decisions import Decisions, Start
from labq_scheduler.pending import Pending
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.runtimes import Estimator, Kind
from labq_scheduler.simulate.traces import TraceJob
from labq_scheduler.snapshot import Snapshot, kind_of
from labq_scheduler.usage.charge import fading
from labq_scheduler.usage.held import cards_of, gpus_held

_IMAGE = "ref:simulated"


class Learner(Estimator, Protocol):
    """An estimator that is told how long jobs ran."""

    def add(self, kind: Kind, seconds: float) -> None:
        """Note a run that is over."""


@dataclass(slots=True)
class Ran:
    """What became of one job. Seconds since the trace's start."""

    job: TraceJob
    start: float = -1.0
    end: float = -1.0
    #: names of the nodes that it ran on
    nodes: tuple[str, ...] = ()
    #: GPUs that it held, a share as its part; None = as many as it asked for
    held: float | None = None
    #: when it was stopped for others, and ended for that
    stopped: list[float] = field(default_factory=list)

    @property
    def waited(self) -> float:
        """Return the seconds from submission to the first start."""
        return self.start - self.job.submitted

    @property
    def gpus(self) -> float:
        """Return the GPUs that it held, a share as its part."""
        return float(self.job.gpus) if self.held is None else self.held


@dataclass(slots=True)
class Replay:
    """The lab in a replay."""

    nodes: Sequence[Node]
    rules: Rules
    runtimes: Learner
    #: called before each decision is applied: for tests of what must always hold
    watch: Callable[[Snapshot, Sequence[Start]], None] = lambda snapshot, starts: None
    #: the same, with all that is decided
    see: Callable[[Snapshot, Decisions], None] = lambda snapshot, decisions: None
    #: give each job a name of its own (an oracle tells them apart by it)
    name_each: bool = False
    #: seconds that a job which is stopped for another runs on
    grace: float = 0.0
    #: a job that was stopped for another goes on where it was; otherwise it begins again
    checkpoint: bool = False
    #: seconds between two decisions at most while something waits; None = only when a job comes or ends. For rules that
    #: look at the time (protection, bound)
    every: float | None = None
    ran: list[Ran] = field(default_factory=list)
    decisions: int = 0

    def run(self, trace: Sequence[TraceJob]) -> list[Ran]:
        """Return what became of every job, in order of submission.

        Raises:
            RuntimeError: a job can never start on these machines.
        """
        self.ran = [Ran(job) for job in trace]
        jobs = [self._job(job, number) for number, job in enumerate(trace)]
        pending = Pending(self.runtimes)
        image = Image(_IMAGE, {node.name: ImageOnNode("ready", 0.0, "sha256:1") for node in self.nodes})
        holding: dict[str, tuple[Job, ...]] = {}
        usage, cards = Usage(self.rules.half_life), cards_of(self.nodes)
        ground, ends, coming = Ground(), list[tuple[float, int, _Run]](), 0
        left, runs = [job.duration for job in trace], dict[int, _Run]()
        now, look = -1.0, float("inf")
        while coming < len(jobs) or runs:
            while ends and runs.get(ends[0][1]) is not ends[0][2]:
                heapq.heappop(ends)  # it was stopped: its end is another
            now = min(
                trace[coming].submitted if coming < len(jobs) else float("inf"),
                ends[0][0] if ends else float("inf"),
                look,
            )
            while ends and ends[0][0] <= now:
                _, number, run = heapq.heappop(ends)
                if runs.get(number) is not run:
                    continue
                del runs[number]
                _leave(holding, run.parts)
                usage.change(run.parts[0].owner, -self.ran[number].gpus, now)
                if run.yields_to is None:
                    self.runtimes.add(kind_of(jobs[number]), trace[number].duration)
                    continue
                self.ran[number].stopped.append(now)
                left[number] -= (now - run.began) if self.checkpoint else 0.0
                jobs[number] = _queued_again(jobs[number], run, now)
                pending.add(jobs[number])
            while coming < len(jobs) and trace[coming].submitted <= now:
                pending.add(jobs[coming])
                coming += 1
            snapshot = Snapshot(
                now, self.nodes, holding, pending.frozen(), (), {}, {_IMAGE: image},
                usage=usage.at(now), runtimes=self.runtimes,
            )  # fmt: skip
            look = float("inf")
            if not snapshot.queue.keys:
                continue
            if self.every is not None and (runs or coming < len(jobs)):
                look = now + self.every
            decisions = decide(snapshot, self.rules, ground)
            self.decisions += 1
            self.watch(snapshot, decisions.starts)
            self.see(snapshot, decisions)
            for start in decisions.starts:
                number = start.job.seq
                pending.remove(start.job)
                parts = running_parts(start, now)
                for part in parts:
                    holding[part.node or ""] = (*holding.get(part.node or "", ()), part)
                end = now + left[number]
                if self.ran[number].start < 0:
                    self.ran[number].start = now
                self.ran[number].end = end
                self.ran[number].nodes = tuple(part.node or "" for part in parts)
                self.ran[number].held = gpus_held((hold for part in parts for hold in part.gpus), cards)
                usage.change(start.job.owner, self.ran[number].gpus, now)
                runs[number] = _Run(parts, now)
                heapq.heappush(ends, (end, number, runs[number]))
            for preempt in decisions.preempts:
                number = preempt.job.seq
                run = runs[number]
                if self.ran[number].end <= now + self.grace:
                    continue  # it is over before
                stop = StopRequest(EndReason.PREEMPTED, "replay", now, self.grace, preempt.for_job.id)
                stopping = tuple(replace(part, state=JobState.STOPPING, stop=stop) for part in run.parts)
                _leave(holding, run.parts)
                for part in stopping:
                    holding[part.node or ""] = (*holding[part.node or ""], part)
                runs[number] = _Run(stopping, run.began, preempt.for_job.id)
                heapq.heappush(ends, (now + self.grace, number, runs[number]))
        for row in self.ran:
            if row.start < 0:
                raise RuntimeError(
                    f"job {row.job.id} ({row.job.gpus} GPUs) can never start on these machines"
                )
        return self.ran

    def _job(self, job: TraceJob, number: int) -> Job:
        asked = job.spec or JobSpec(image="simulated", gpus=GpuRequest(job.gpus, job.models))
        name = job.id if self.name_each else job.name
        spec = replace(asked, time=job.limit, grace=self.grace, name=name)
        return Job(
            id=str(number), owner=job.user, uid=0, gid=0, spec=spec, state=JobState.QUEUED,
            submitted_at=job.submitted, seq=number, image_key=_IMAGE, simulated=True,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """A job that runs. Compared by identity: one that is being stopped is another."""

    parts: tuple[Job, ...]
    began: float
    #: id of the job that it is stopped for
    yields_to: str | None = None

    def __lt__(self, other: _Run) -> bool:
        return self.began < other.began


class Usage:
    """Decayed GPU-seconds by person, as the ledger of the server has them."""

    def __init__(self, half_life: float, worth: Mapping[str, float] | None = None, now: float = 0.0) -> None:
        """Begin with what was used until ``now``."""
        self._half_life = half_life
        self._worth: dict[str, float] = dict(worth or {})
        self._rate: dict[str, float] = {}
        self._then = now

    def at(self, now: float) -> dict[str, float]:
        """Return them at ``now``."""
        left = fading(now - self._then, self._half_life)
        grown = self._half_life / log(2) * (1.0 - left)
        self._worth = {
            user: worth * left + self._rate.get(user, 0.0) * grown for user, worth in self._worth.items()
        }
        self._then = now
        return self._worth

    def change(self, user: str, gpus: float, now: float) -> None:
        """Note that a person holds so many GPUs more."""
        self.at(now)
        self._worth.setdefault(user, 0.0)
        self._rate[user] = self._rate.get(user, 0.0) + gpus


def _leave(holding: dict[str, tuple[Job, ...]], parts: Sequence[Job]) -> None:
    for part in parts:
        holding[part.node or ""] = tuple(job for job in holding[part.node or ""] if job is not part)


def _queued_again(job: Job, run: _Run, now: float) -> Job:
    part = run.parts[0]
    attempt = Attempt(
        len(job.attempts) + 1, part.node or "", (), part.lease or "", run.began, now, None, EndReason.PREEMPTED, "",
        run.yields_to,
    )  # fmt: skip
    return replace(job, attempts=(*job.attempts, attempt))


def running_parts(start: Start, now: float) -> tuple[Job, ...]:
    """Return what runs once a job was started: one for each node."""
    return tuple(
        replace(
            start.job, state=JobState.RUNNING, node=node, gpus=fit.gpus, cpus=fit.cpus, memory=fit.memory, disk=fit.disk or None,
            started_at=now, attempt=1, lease="simulated",
        )
        for node, fit in ((start.node, start.fit), *start.more)
    )  # fmt: skip
