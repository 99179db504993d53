"""Outlook: when a job that waits, or one that nobody has submitted yet, is expected to start."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from labq.clock import rfc3339
from labq.image import image_key
from labq.job import Job
from labq.spec import JobSpec
from labq.states import JobState
from labq.store import Person
from labq_scheduler.decide import decide
from labq_scheduler.forecast.ahead import may_come
from labq_scheduler.forecast.line import with_jobs
from labq_scheduler.forecast.outlook import Outlook
from labq_scheduler.forecast.sooner import Sooner, sooner
from labq_scheduler.forecast_apart import Question
from labq_scheduler.forecasts import polite
from labq_scheduler.policy.bound import bound_of
from labq_scheduler.policy.fit import could_hold
from labq_scheduler.policy.why import why_waiting
from labq_scheduler.snapshot import Snapshot
from labq_scheduler.verbs.lab import Lab

NOTHING: dict[str, Any] = {"estimate": None, "no_estimate": None, "starts_by": None, "sooner": []}
#: Why there is no estimate.
NOT_YET = "it is being worked out; ask again in a minute"
AWAY = "not known while no node that could hold it takes work"
LATER = "labq why tells it once the job is submitted"
UNSURE = "not known: what it waits for may never come about"
#: Seconds that the server thinks about one question: about what would start sooner, and about a job that is not there yet.
THINK_SOONER, THINK_NEW = 0.6, 2.0
#: Futures of a job that is not there yet.
FUTURES = 5
#: Number of a job that is not there yet: behind all others.
LAST = 2**53
NEW = str(LAST)
#: What would start sooner is thought about for one person at a time: it takes the interpreter from who decides.
_ONE = threading.Lock()


def start_of(lab: Lab, job: Job) -> float | None:
    """Return when a job is likely to start, as far as it is known already: seconds since the epoch."""
    if job.state is not JobState.QUEUED or lab.forecasts is None:
        return None
    known = lab.forecasts.latest()
    return None if known is None else known.likely(job.id)


def of_job(lab: Lab, job: Job) -> dict[str, Any]:
    """Return ``estimate``, ``starts_by`` and ``sooner`` of a job."""
    if job.state is not JobState.QUEUED or lab.forecasts is None or not lab.board.loaded:
        return NOTHING
    outlook = lab.forecasts.of(job.id)
    explanation = lab.board.explanation()
    snapshot, decisions, rules = explanation.snapshot, explanation.decisions, lab.rules()
    if any(other.id == job.id for other in snapshot.held):
        return _view(outlook, _unknown(job, snapshot) or (None if may_come(job, snapshot) else UNSURE))
    with _ONE:
        rooms, ground = dict(decisions.rooms), explanation.ground()
        told = sooner(job, outlook, snapshot, rules, rooms, polite(THINK_SOONER), ground)
    promised = bound_of(job, snapshot, rules, lab.site.max_time)
    return {
        **_view(outlook, _unknown(job, snapshot)),
        "starts_by": None if promised is None else rfc3339(snapshot.now + promised),
        "sooner": _told(told),
    }


def of_new(lab: Lab, person: Person, spec: JobSpec, *, now: float) -> dict[str, Any]:
    """Return ``waits``, ``estimate``, ``starts_by`` and ``sooner`` of a job that would be submitted now.

    Args:
        lab: the parts.
        person: whose it would be.
        spec: what is asked for.
        now: seconds since the epoch.
    """
    job = Job(
        id=NEW, owner=person.name, uid=person.uid, gid=person.gid, spec=spec, state=JobState.QUEUED,
        submitted_at=now, seq=LAST, image_key=image_key(spec), not_before=spec.not_before,
    )  # fmt: skip
    if not lab.board.loaded:
        return {"waits": "the server has not read the lab's state yet", **NOTHING}
    if (held := lab.board.why_held(job, now)) is not None:
        return {"waits": held, **NOTHING, "no_estimate": LATER}
    explanation = lab.board.explanation()
    snapshot = explanation.snapshot
    rules = lab.rules()
    with_it = replace(snapshot, queue=with_jobs(snapshot.queue, [job], snapshot.runtimes))
    decisions = decide(with_it, rules, explanation.ground())
    for start in decisions.starts:
        if start.job.id == NEW:
            at = rfc3339(now)
            now_on = {
                "early": at, "likely": at, "late": at, "node": start.node, "looked_until": None, "as_of": at,
            }  # fmt: skip
            return {"waits": None, **NOTHING, "estimate": now_on}
    found = None
    if lab.forecasts is not None:
        found = lab.forecasts.think(Question(with_it, rules, THINK_NEW, (NEW,), FUTURES))
    outlook = None if found is None else found.of(NEW)
    with _ONE:
        rooms = dict(decisions.rooms)
        told = sooner(job, outlook, snapshot, rules, rooms, polite(THINK_SOONER), explanation.ground())
    promised = bound_of(job, with_it, rules, lab.site.max_time)
    key = next(key for key, jobs in zip(with_it.queue.keys, with_it.queue.jobs, strict=True) if job in jobs)
    return {
        "waits": why_waiting(key, job, with_it, decisions),
        **_view(outlook, _unknown(job, with_it)),
        "starts_by": None if promised is None else rfc3339(now + promised),
        "sooner": _told(told),
    }


def _unknown(job: Job, snapshot: Snapshot) -> str | None:
    """Return why nobody can know when a job starts; None = it can be known."""
    could = any(node.takes_work(snapshot.now) and could_hold(job.spec, node) for node in snapshot.nodes)
    return None if could else AWAY


def _view(outlook: Outlook | None, unknown: str | None) -> dict[str, Any]:
    if outlook is None or unknown is not None:
        return {**NOTHING, "no_estimate": unknown or NOT_YET}
    never = outlook.looked == float("inf")
    found = {
        "early": _time(outlook.early),
        "likely": _time(outlook.likely),
        "late": _time(outlook.late),
        "node": outlook.node or None,
        "looked_until": None if never else rfc3339(outlook.looked),
        "as_of": rfc3339(outlook.at),
    }
    return {**NOTHING, "estimate": found}


def _told(found: list[Sooner]) -> list[dict[str, Any]]:
    return [
        {"text": one.text, "flag": one.flag, "start": _time(one.start), "node": one.node} for one in found
    ]


def _time(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)
