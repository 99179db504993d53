"""Usage: who used how many GPU-hours in a window, inside and outside the queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labq.clock import rfc3339
from labq.errors import BadInputError
from labq.job import Job
from labq.node import Gpu
from labq.states import ACTIVE
from labq_scheduler.usage.held import cards_of, gpus_held, holds_of
from labq_scheduler.usage.ledger import live_run
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.listing import check_parameters, legal, since

BY = ("user", "group", "node")
LEGAL_KEYS = ("by", "since", "until", "user")
#: Seconds that are looked back when nothing is said.
DEFAULT_SINCE = 7 * 86_400.0
#: Seconds of an hour: the API's numbers are GPU-hours.
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """Whose use of which window, summed up by what."""

    by: str
    #: seconds since the epoch
    since: float
    until: float
    #: None = everybody
    user: str | None = None


@dataclass(slots=True)
class Used:
    """GPU-seconds of one person, group or node."""

    jobs: int = 0
    allocated: float = 0.0
    #: those of which an agent measured whether the GPU was busy, and was
    known: float = 0.0
    busy: float = 0.0
    outside: float = 0.0
    outside_busy: float = 0.0
    #: None = not asked for, or not known
    charged: float | None = None

    def add(self, other: Used) -> None:
        """Add another's use."""
        for name in ("jobs", "allocated", "known", "busy", "outside", "outside_busy"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.charged is not None:
            self.charged = (self.charged or 0.0) + other.charged

    def view(self, key: str | None) -> dict[str, Any]:
        """Return it as the API shows it: hours; None = not known."""
        measured = self.known > 0
        return {
            "key": key,
            "jobs": self.jobs,
            "allocated_gpu_hours": _hours(self.allocated),
            "busy_gpu_hours": _hours(self.busy) if measured else None,
            "idle_gpu_hours": _hours(max(0.0, self.known - self.busy)) if measured else None,
            "busy_known_gpu_hours": _hours(self.known),
            "outside_gpu_hours": _hours(self.outside),
            "outside_busy_gpu_hours": _hours(self.outside_busy),
            "charged_gpu_hours": None if self.charged is None else _hours(self.charged),
        }


def parse(query: Mapping[str, str], *, now: float) -> UsageQuestion:
    """Return the question that a query string asks. Pure.

    Raises:
        BadInputError: naming the parameter and what is legal.
    """
    check_parameters(query, LEGAL_KEYS)
    by = query.get("by") or "user"
    if by not in BY:
        raise BadInputError(f"by {by[:100]!r} is not known", legal(by, BY))
    until = min(now, since(query["until"], now, "until")) if query.get("until") else now
    begin = since(query["since"], now, "since") if query.get("since") else now - DEFAULT_SINCE
    if begin >= until:
        raise BadInputError(
            f"since ({rfc3339(begin)}) is not before until ({rfc3339(until)})",
            "write an earlier since, or a later until (at most now)",
        )
    return UsageQuestion(by, begin, until, query.get("user") or None)


def usage(lab: Lab, question: UsageQuestion, *, now: float) -> dict[str, Any]:
    """Return the answer. The records say what is over, the board what goes on; no run is in both.

    Raises:
        UnavailableError: the records, or Redis, do not answer: half an account would be a false one.
    """
    lab.board.require_loaded()
    by_user = _counted(lab, question, "user", now)
    total = Used()
    for used in by_user.values():
        total.add(used)
    rows = by_user
    if question.by == "node":
        rows = _counted(lab, question, "node", now)
        total.charged = None
    elif question.by == "group":
        rows = {}
        groups = {person.name: person.group for person in lab.store.people.all()}
        for user, used in by_user.items():
            rows.setdefault(groups.get(user, ""), Used()).add(used)
    order = sorted(rows, key=lambda key: (-rows[key].allocated - rows[key].outside, key))
    return {
        "since": rfc3339(question.since),
        "until": rfc3339(question.until),
        "by": question.by,
        "rows": [rows[key].view(key) for key in order],
        "total": total.view(None),
    }


def _counted(lab: Lab, question: UsageQuestion, by: str, now: float) -> dict[str, Used]:
    window, user = (question.since, question.until), question.user
    rows: dict[str, Used] = {}
    for key, seconds, jobs in lab.history.allocated(by, *window, user):
        rows[key] = Used(jobs=jobs, allocated=seconds)
    cards = cards_of(node for node, _ in lab.board.nodes())
    active = (job for job in list(lab.board.jobs.values()) if job.state in ACTIVE)
    for job in active:
        if user is None or job.owner == user:
            _add_active(rows, job, by, question, cards, now)
    for key, outside, held, busy in lab.history.measured(by, *window, now, user):
        used = rows.setdefault(key, Used())
        if outside:
            used.outside, used.outside_busy = held, busy
        else:
            used.known, used.busy = held, busy
    if by == "user" and question.by == "user" and lab.ledger.loaded:
        charged = lab.ledger.charged(now)
        for name, used in rows.items():
            used.charged = charged.get(name, 0.0)
    return rows


def _add_active(
    rows: dict[str, Used], job: Job, by: str, question: UsageQuestion, cards: Mapping[str, Gpu], now: float
) -> None:
    """Add the runs of a job that is not over: the records do not have them yet."""
    seen: set[str] = set()
    for node, gpus, start, end in _runs(job, cards, now):
        seconds = min(end, question.until) - max(start, question.since)
        if seconds > 0:
            key = job.owner if by == "user" else node
            used = rows.setdefault(key, Used())
            used.allocated += seconds * gpus
            used.jobs += key not in seen
            seen.add(key)


def _runs(job: Job, cards: Mapping[str, Gpu], now: float) -> Iterable[tuple[str, float, float, float]]:
    for attempt in job.attempts:
        if attempt.started_at is not None:
            held = gpus_held(holds_of(job, attempt), cards)
            yield attempt.node, held, attempt.started_at, attempt.ended_at
    run = live_run(job, cards, now)
    if job.started_at is not None:
        yield job.node or "", run.gpus if run is not None else 0.0, job.started_at, now


def _hours(seconds: float) -> float:
    return round(seconds / _HOUR, 6)
