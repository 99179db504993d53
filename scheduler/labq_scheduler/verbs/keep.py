"""Keep: a job is not ended for holding GPUs without using them, for a while."""

from __future__ import annotations

from typing import Any

from labq.errors import BadInputError, ConflictError
from labq.job import Job
from labq.states import FINAL
from labq.store import Person
from labq.units import about_duration, parse_duration
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.show import find, require_owner

#: Seconds: when nothing is said, and at most at once. Who needs longer asks again, so that nothing is kept and forgotten.
USUAL, MOST = 4 * 3600.0, 7 * 86400.0
#: Seconds: less than that is nothing left.
LEAST = 60.0


def keep(lab: Lab, person: Person, job_id: str, duration: Any) -> tuple[Job, float]:
    """Keep the job and return it with the seconds for which it is kept.

    Its owner may keep it for the site's ``max_keep`` in all, so that no cron job holds GPUs for ever; an admin for longer.

    Raises:
        BadInputError: the duration is not legal.
        NotAllowedError: the job is another's.
        ConflictError: the job has ended, or was kept for as long as the lab allows.
    """
    seconds = USUAL if duration is None else parse_duration(duration, "time to keep a job")
    if seconds > MOST:
        raise BadInputError(f"time to keep a job {duration!r} is too long", "at most 7d; ask again later")
    job = find(lab, job_id)
    require_owner(job, person, "keep it")
    if job.state in FINAL:
        raise ConflictError(f"job {job.id} has ended", f"labq show {job.id} says how")
    most = None if person.admin else lab.site.max_keep
    left = lab.store.idle.keep(job.id, seconds, most)
    if left is not None and duration is None and left >= LEAST:
        seconds, left = left, lab.store.idle.keep(job.id, left, most)
    if left is not None:
        raise _used_up(job, seconds, left, lab.site.max_keep)
    return job, seconds


def _used_up(job: Job, seconds: float, left: float, most: float) -> ConflictError:
    rest = f"labq keep {job.id} --for {int(left // 60)}m is still possible; " if left >= LEAST else ""
    return ConflictError(
        f"job {job.id} cannot be kept for {about_duration(seconds)}: this lab keeps a job that does nothing for "
        f"{about_duration(most)} in all, and {about_duration(left) if left >= LEAST else 'nothing'} of that is left",
        f"{rest}let it use its GPUs, or end it (labq cancel {job.id}); an admin may keep it longer",
    )
