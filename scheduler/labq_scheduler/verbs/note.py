"""Note: the one thing of a job that its owner may change at any time."""

from __future__ import annotations

from typing import Any

from labq import spec_values
from labq.job import Job
from labq.store import Person
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.show import find, require_owner


def set_note(lab: Lab, person: Person, job_id: str, note: Any, *, now: float) -> Job:
    """Write the note and return the job with it.

    Raises:
        BadInputError: the note is no text of at most 4,000 characters.
        NotAllowedError: the job is another's.
    """
    text = spec_values.note(note)
    job = find(lab, job_id)
    require_owner(job, person, "change its note")
    if lab.store.jobs.get_many([job_id]):
        return lab.store.jobs.set_note(job, text, now=now)
    return lab.history.set_note(job, text)
