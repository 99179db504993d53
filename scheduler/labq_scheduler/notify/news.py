"""What happened to a job that somebody may want to know: read from an event and the job's record. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from labq.ending import EndReason
from labq.job import Attempt, Job, decode
from labq.node import Node
from labq.states import FINAL, JobState
from labq.store import Event

#: Reasons with which a job ends that never ran, and which its owner can do something about.
FIXABLE = frozenset(
    {
        EndReason.DEPENDENCY_FAILED,
        EndReason.IMPOSSIBLE,
        EndReason.IMAGE_BUILD_FAILED,
        EndReason.IMAGE_NOT_FOUND,
        EndReason.COMMAND_NOT_FOUND,
    }
)
#: How labq/ending.py writes the highest use of memory into a verdict.
_PEAK = re.compile(r"\bpeak (?:memory )?(\d[\d.]*[KMGT]?B)")
#: Characters of a verdict: it may quote a line of the log, or an engine's error.
MOST_SENTENCE = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing that happened. Goes to Redis as JSON: what the record says later does not change it."""

    #: failed, succeeded, cancelled, requeued, waiting, idle, array or test
    kind: str
    #: which preferences ask for it (labq/notify.py, EVENTS); any one is enough; () = always told
    events: tuple[str, ...]
    owner: str
    #: seconds since the epoch
    at: float
    job: str = ""
    name: str = ""
    sentence: str = ""
    reason: str = ""
    attempt: int = 0
    #: seconds that it ran; None = it never did
    duration: float | None = None
    #: seconds from the submission to the first start, or to now when it never started
    waited: float | None = None
    gpus: int = 0
    #: model names, when the node is known
    models: tuple[str, ...] = ()
    simulated: bool = False
    node: str = ""
    #: highest use of memory as the verdict says it; "" = it does not
    peak: str = ""
    #: bytes that it was given
    memory: int | None = None
    array: str = ""
    #: 1 or 2: how often its owner was warned that it is idle
    stage: int = 0
    #: seconds since the epoch at which it is ended for being idle; None = it is not
    ends_at: float | None = None
    #: of an array: state -> number of tasks
    counts: tuple[tuple[str, int], ...] = ()
    #: of an array: id, state, seconds or -1, sentence of the tasks that are listed
    rows: tuple[tuple[str, str, float, str], ...] = ()

    def to_json(self) -> str:
        """Return the text that :meth:`from_json` reads; what is a default is left out."""
        plain = News(kind=self.kind, events=self.events, owner=self.owner, at=self.at)
        said = {
            key: value
            for key, value in asdict(self).items()
            if key in {"kind", "events", "owner", "at"} or value != getattr(plain, key)
        }
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> News:
        """Return the news of a text; keys that a newer labq wrote are left out."""
        known = {item.name for item in fields(News)}
        said: dict[str, Any] = {key: value for key, value in json.loads(text).items() if key in known}
        for key in ("events", "models"):
            said[key] = tuple(said.get(key, ()))
        for key in ("counts", "rows"):
            said[key] = tuple(tuple(row) for row in said.get(key, ()))
        return News(**said)


def concerns(event: Event) -> str | None:
    """Return the id of the job that an event tells something of; None = nobody wants to know."""
    match event.type:
        case "moved":
            over = event.fields.get("to") in {str(state) for state in FINAL}
            again = event.fields.get("to") == JobState.QUEUED
            return event.fields.get("id") if over or again else None
        case "idle" | "waiting":
            return event.fields.get("id")
        case _:
            return None


def read_event(event: Event, job: Job, node: Node | None) -> News | None:
    """Return what an event says about its job; None when it is nothing to tell.

    Args:
        event: one that :func:`concerns` somebody.
        job: its record, perhaps already further on.
        node: where the attempt ran, for the names of its GPUs; None = not known any more.
    """
    at = float(event.fields.get("at") or 0)
    match event.type:
        case "idle":
            said = event.fields
            return _news(
                job, "idle", ("idle",), at, node, stage=int(said.get("stage") or 1),
                duration=float(said.get("seconds") or 0), ends_at=float(said["ends_at"]) if said.get("ends_at") else None,
            )  # fmt: skip
        case "waiting":
            sentence = event.fields.get("why", "")[:MOST_SENTENCE]
            return _news(job, "waiting", ("waiting",), at, None, sentence=sentence)
    if event.fields["to"] == JobState.QUEUED:
        return _requeued(event, job, at, node)
    return _ended(event, job, at, node)


def array_news(array: str, jobs: Sequence[Job], at: float, most_rows: int = 20) -> News:
    """Return the summary of an array whose tasks have all ended: those that failed first.

    Args:
        array: its id.
        jobs: its tasks, at least one.
        at: seconds since the epoch.
        most_rows: tasks that are listed by name.
    """
    order = {JobState.FAILED: 0, JobState.CANCELLED: 1}
    listed = sorted(jobs, key=lambda job: (order.get(job.state, 2), job.seq, job.index or 0))[:most_rows]
    counts: dict[str, int] = {}
    for job in jobs:
        counts[str(job.state)] = counts.get(str(job.state), 0) + 1
    ended = max(job.ended_at or at for job in jobs)
    return News(
        kind="array",
        events=("succeeded", *(("failed", "cancelled") if set(counts) - {"succeeded"} else ())),
        owner=jobs[0].owner,
        at=at,
        job=array,
        name=jobs[0].spec.name,
        duration=ended - min(_started(job) or ended for job in jobs),
        waited=min((_started(job) or ended) for job in jobs) - jobs[0].submitted_at,
        gpus=jobs[0].spec.gpus.count,
        counts=tuple(sorted(counts.items())),
        rows=tuple(_row(job) for job in listed),
    )


def _row(job: Job) -> tuple[str, str, float, str]:
    ran = -1.0 if job.started_at is None or job.ended_at is None else job.ended_at - job.started_at
    return job.id, str(job.state), ran, (job.verdict or "")[:200]


def _ended(event: Event, job: Job, at: float, node: Node | None) -> News | None:
    if job.state not in FINAL or job.end_reason is None:
        return None
    state, reason = str(job.state), job.end_reason
    if state == "cancelled" and _canceller(event, job) == job.owner:
        return None  # they know
    events = (state, "waiting") if reason in FIXABLE else (state,)
    ran = None if job.started_at is None else max(0.0, (job.ended_at or at) - job.started_at)
    return _news(
        job, state, events, at, node, sentence=job.verdict or "", reason=str(reason), attempt=job.attempt, duration=ran
    )  # fmt: skip


def _canceller(event: Event, job: Job) -> str:
    if job.end_reason is EndReason.CANCELLED_BY_USER:
        return job.owner
    return event.fields.get("by", "")


def _requeued(event: Event, job: Job, at: float, node: Node | None) -> News | None:
    changed: Mapping[str, str] = json.loads(event.fields.get("set") or "{}")
    attempts: tuple[Attempt, ...] = decode("attempts", changed["attempts"]) if "attempts" in changed else ()
    if not attempts:
        return None
    last = attempts[-1]
    if last.reason is EndReason.START_REJECTED:
        return None  # an accident of the lab that mends itself: nobody waits longer than a moment
    ran = None if last.started_at is None else max(0.0, last.ended_at - last.started_at)
    news = _news(
        job, "requeued", ("requeued",), at, node, sentence=last.verdict, reason=str(last.reason),
        attempt=last.number, duration=ran,
    )  # fmt: skip
    return replace(news, gpus=len(last.gpus), node=last.node, models=_models(node, last.gpus))


def _news(job: Job, kind: str, events: tuple[str, ...], at: float, node: Node | None, **more: Any) -> News:
    sentence = str(more.pop("sentence", ""))[:MOST_SENTENCE]
    peak = _PEAK.search(sentence)
    uuids = tuple(hold.uuid for hold in job.gpus)
    started = _started(job)
    return News(
        kind=kind,
        events=events,
        owner=job.owner,
        at=at,
        job=job.id,
        name=job.spec.name,
        sentence=sentence,
        waited=max(0.0, (started if started is not None else at) - job.submitted_at),
        gpus=len(uuids),
        models=_models(node, uuids),
        simulated=job.simulated,
        node=job.node or "",
        peak=peak[1] if peak else "",
        memory=job.memory,
        array=job.array or "",
        **more,
    )


def _started(job: Job) -> float | None:
    """Return when the first attempt of a job started."""
    return next((a.started_at for a in job.attempts if a.started_at is not None), job.started_at)


def _models(node: Node | None, uuids: Sequence[str]) -> tuple[str, ...]:
    models = {gpu.uuid: gpu.model for gpu in node.gpus} if node else {}
    return tuple(models[uuid] for uuid in uuids if uuid in models)
