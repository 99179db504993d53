"""History: the jobs that ran and are over, with all that a replay of them needs to know (labq/cli/simulate.py)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from labq.clock import rfc3339
from labq.errors import BadInputError
from labq.job import Job
from labq.rules.read import Said
from labq.states import FINAL
from labq.store import Person
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.listing import Question, check_parameters, since

LEGAL_KEYS = ("since",)
#: Seconds that are looked back when nothing is said.
DEFAULT_SINCE = 90 * 86_400.0
#: Jobs in one answer: it is made in memory, and a replay of more takes long.
MOST = 50_000


def parse(query: Mapping[str, str], *, now: float) -> float:
    """Return since when a query string asks: seconds since the epoch. Pure.

    Raises:
        BadInputError: naming the parameter and what is legal.
    """
    check_parameters(query, LEGAL_KEYS)
    begin = since(query["since"], now) if query.get("since") else now - DEFAULT_SINCE
    if begin >= now:
        raise BadInputError(f"since ({rfc3339(begin)}) is not in the past", "write 90d, or an earlier time")
    return begin


def history(lab: Lab, begin: float, person: Person, *, now: float) -> dict[str, Any]:
    """Return the newest jobs that ran, are over and were submitted since ``begin``, as ``person`` may see them.

    Raises:
        UnavailableError: the records do not answer.
    """
    jobs, total = lab.history.find(Question(None, FINAL, since=begin, limit=MOST), until=now)
    ran = [job for job in jobs[:MOST] if job.submitted_at >= begin and seconds_run(job) > 0]
    return {
        "since": rfc3339(begin),
        "cut": total > MOST,
        "pseudonyms": not person.admin,
        "rules": rules_text(lab.rules.state().said),
        "jobs": rows(reversed(ran), None if person.admin else person.name),
    }


def rules_text(said: Said) -> str:
    """Return the rules in force as a file that says the same, without the remarks of whoever wrote it.

    Reservations of machines are left out: they have dates. Pure.
    """
    lines = []
    for path, entry in said.entries.items():
        if not any(isinstance(part, int) for part in path):
            name = ".".join(json.dumps(part, ensure_ascii=False) for part in path)
            lines.append(f"{name} = {entry.key.write(entry.value)}\n")
    return "".join(lines)


def seconds_run(job: Job) -> float:
    """Return the seconds that all runs of a job took together."""
    return sum(
        max(0.0, attempt.ended_at - attempt.started_at)
        for attempt in job.attempts
        if attempt.started_at is not None
    )


def rows(jobs: Iterable[Job], reader: str | None) -> list[dict[str, Any]]:
    """Return the jobs as the API shows them. Pure.

    Args:
        jobs: they ran and are over.
        reader: who sees people's and jobs' names only where they are their own; None = sees all. To a replay it matters
            which jobs are of one person and of one name, not what they are called.
    """
    people: dict[str, str] = {}
    names: dict[tuple[str, str], str] = {}
    found = []
    for job in jobs:
        spec, shown = job.spec, reader in (None, job.owner)
        user = job.owner if shown else people.setdefault(job.owner, f"person-{len(people) + 1}")
        name = spec.name if shown else names.setdefault((job.owner, spec.name), f"name-{len(names) + 1}")
        found.append(
            {
                "id": job.id,
                "user": user,
                "name": name,
                "submitted_at": rfc3339(job.submitted_at),
                "seconds": round(seconds_run(job), 3),
                "gpus": str(spec.gpus),
                "cpus": spec.cpus,
                "memory": spec.memory,
                "time": spec.time,
                "priority": spec.priority,
                "nodes": list(spec.nodes),
            }
        )
    return found
