"""Keep: a job is not ended for holding GPUs without using them, for a while."""

from __future__ import annotations

from typing import Any

from labq.errors import BadInputError, ConflictError
from labq.job import Job
from labq.states import FINAL
from labq.store import Person
from labq.units import parse_duration
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.show import find, require_owner

#: Seconds: when nothing is said, and at most. Who needs longer asks again, so that nothing is kept and forgotten.
USUAL, MOST = 4 * 3600.0, 7 * 86400.0


def keep(lab: Lab, person: Person, job_id: str, duration: Any) -> tuple[Job, float]:
    """Keep the job and return it with the seconds for which it is kept.

    Raises:
        BadInputError: the duration is not legal.
        NotAllowedError: the job is another's.
        ConflictError: the job has ended.
    """
    seconds = USUAL if duration is None else parse_duration(duration, "time to keep a job")
    if seconds > MOST:
        raise BadInputError(f"time to keep a job {duration!r} is too long", "at most 7d; ask again later")
    job = find(lab, job_id)
    require_owner(job, person, "keep it")
    if job.state in FINAL:
        raise ConflictError(f"job {job.id} has ended", f"labq show {job.id} says how")
    lab.store.idle.keep(job.id, seconds)
    return job, seconds
