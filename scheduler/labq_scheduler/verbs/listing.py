"""List: which jobs a question names, from memory and, for those ended long ago, from the records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from labq.errors import BadInputError, closest
from labq.ids import check_job_id, sort_key
from labq.job import Job
from labq.spec_values import moment
from labq.states import ACTIVE, FINAL, JobState
from labq.store import Person
from labq.units import parse_duration
from labq_scheduler.board import KEEP_ENDED, KEEP_ENDED_SECONDS
from labq_scheduler.verbs.lab import Lab

LEGAL_KEYS = ("owner", "state", "tag", "name", "since", "array", "limit", "cursor")
DEFAULT_LIMIT, MAX_LIMIT = 200, 10_000
#: More than any index of an array (labq/ids.py).
_INDICES = 10**8
#: Without a state and a time: what is active, and what ended in the last day.
DEFAULT_SINCE = 86_400.0


@dataclass(frozen=True, slots=True)
class Question:
    """Which jobs are wanted."""

    #: None = everybody's
    owner: str | None
    states: frozenset[JobState]
    #: seconds since the epoch; ended jobs only when they ended at or after it
    since: float = 0.0
    tag: str | None = None
    name: str | None = None
    array: str | None = None
    limit: int = DEFAULT_LIMIT
    #: only jobs made before this one
    before: tuple[int, int] | None = None

    def wants(self, job: Job) -> bool:
        """Return whether the job is one of them (whatever the page)."""
        return (
            (self.owner is None or job.owner == self.owner)
            and job.state in self.states
            and (job.ended_at is None or job.ended_at >= self.since)
            and (self.tag is None or self.tag in job.spec.tags)
            and (self.name is None or job.spec.name == self.name)
            and (self.array is None or job.array == self.array)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an answer: the newest jobs that were asked for, oldest of them first."""

    jobs: list[Job]
    #: how many there are on all pages
    total: int
    #: cursor of the page with the next older ones; None = there are none
    cursor: str | None


def parse(query: Mapping[str, str], person: Person, *, now: float) -> Question:
    """Return the question that a query string asks. Pure.

    Raises:
        BadInputError: naming the parameter and what is legal.
    """
    check_parameters(query, LEGAL_KEYS)
    after = since(query["since"], now) if query.get("since") else None
    said = query.get("state") or ""
    if after is None:
        after = 0.0 if said or query.get("array") else now - DEFAULT_SINCE
    owner = query.get("owner") or person.name
    return Question(
        owner=None if owner == "*" else owner,
        states=_states(said or "all"),
        since=after,
        tag=query.get("tag") or None,
        name=query.get("name") or None,
        array=check_job_id(query["array"]) if query.get("array") else None,
        limit=_limit(query.get("limit")),
        before=sort_key(check_job_id(query["cursor"])) if query.get("cursor") else None,
    )


def find_page(lab: Lab, question: Question, *, now: float) -> Page:
    """Return the page. A person's own write just before is in it.

    What ended before the board's horizon comes from the records, the rest from the board: no job is in both.
    """
    lab.board.require_loaded()
    every = list(lab.board.jobs.values())
    horizon = _horizon(every, now)
    found = [
        job for job in every if question.wants(job) and (job.ended_at is None or job.ended_at >= horizon)
    ]
    total = len(found)
    older: list[Job] = []
    if question.since < horizon and question.states & FINAL:
        older, count = lab.history.find(question, until=horizon)
        total += count
    return _page(found, older, total, question)


def check_parameters(query: Iterable[str], known: Sequence[str]) -> None:
    """Do nothing when every parameter of a query string is known.

    Raises:
        BadInputError: naming the first that is not, and what is legal.
    """
    for key in query:
        if key not in known:
            raise BadInputError(f"unknown parameter {key[:100]!r}", legal(key, known))


def legal(word: str, words: Sequence[str]) -> str:
    """Return what is legal in the place of ``word``, the nearest first."""
    near = closest(word, list(words))
    return (f"did you mean {near}? " if near else "") + f"legal: {', '.join(words)}"


def since(text: str, now: float, what: str = "since") -> float:
    """Return the moment that ``2h`` (ago) or an RFC 3339 time means.

    Raises:
        BadInputError: it is neither.
    """
    try:
        return now - parse_duration(text, what)
    except BadInputError:
        pass
    try:
        return moment(text)
    except BadInputError:
        raise BadInputError(
            f"{what} {text[:100]!r} is neither a duration nor a time",
            "write 2h, 3d or 2026-12-01T22:00:00+09:00",
        ) from None


def _page(found: Iterable[Job], older: list[Job], total: int, question: Question) -> Page:
    before = None if question.before is None else _number(question.before)
    inside = [job for job in found if before is None or _key(job) < before] + older
    jobs = sorted(inside, key=_key)[-question.limit :]
    more = len(inside) > len(jobs)
    return Page(jobs, total, jobs[0].id if more and jobs else None)


def _key(job: Job) -> int:
    """Return what sort_key returns as one number: there are thousands to compare."""
    return job.seq * _INDICES + (0 if job.index is None else job.index + 1)


def _number(key: tuple[int, int]) -> int:
    return key[0] * _INDICES + key[1] + 1


def _horizon(jobs: list[Job], now: float) -> float:
    """Return the moment since which the board has every ended job."""
    ended = [job.ended_at for job in jobs if job.ended_at is not None]
    oldest_kept = min(ended) if len(ended) >= KEEP_ENDED else 0.0
    return max(now - KEEP_ENDED_SECONDS + 60.0, oldest_kept)


def _states(text: str) -> frozenset[JobState]:
    groups = {"active": ACTIVE, "ended": FINAL, "all": frozenset(JobState)}
    found: frozenset[JobState] = frozenset()
    for word in text.split(","):
        if word in groups:
            found |= groups[word]
        elif word in set(JobState):
            found |= {JobState(word)}
        else:
            raise BadInputError(f"state {word[:100]!r} is not known", legal(word, [*groups, *JobState]))
    return found


def _limit(text: str | None) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= MAX_LIMIT:
        raise BadInputError(f"limit {text[:100]!r} is not legal", f"write 1 to {MAX_LIMIT}")
    return int(text)
