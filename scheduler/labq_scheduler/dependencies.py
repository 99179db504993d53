"""States of the jobs and arrays that others wait for, wherever they are: the board, Redis, the records.

Lives here: where to look, in which order, and how long an answer is true.
Must not live here: what a state means for the job that waits (policy/why.py, decide.py).
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from labq.errors import UnavailableError
from labq.job import Job
from labq.states import FINAL, JobState
from labq.store import Store

log = logging.getLogger(__name__)

#: Asks the records for the states of finished jobs and arrays; what they do not know is left out.
Past = Callable[[list[str]], dict[str, JobState]]
#: Arrays and old jobs whose state is kept ready; more than a lab waits for at one time.
KEEP = 1000


@dataclass(slots=True)
class _Known:
    """What is known of one array, or of one job that is not on the board."""

    tasks: tuple[str, ...]
    #: final states of tasks that the board no longer has: they never change
    past: dict[str, JobState] = field(default_factory=dict)
    #: counts the changes; an answer that was worked out meanwhile is not kept
    version: int = 0
    state: JobState | None = None


class Dependencies:
    """States by id of a job or an array. Asked by many threads, told of changes by the board's."""

    def __init__(self, store: Store, on_board: Callable[[str], Job | None], past: Past | None) -> None:
        """Look at the board first, then in the store, then in ``past`` (None: there are no records to ask)."""
        self._store, self._on_board, self._past = store, on_board, past
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._known.clear()

    def changed(self, job: Job) -> None:
        """Note that a job, or a task of an array, is not what it was."""
        with self._lock:
            known = self._known.get(job.array or job.id)
            if known is not None:
                known.version += 1
                known.state = None

    def states(self, jobs: Iterable[Job]) -> dict[str, JobState | None]:
        """Return the states of all that ``jobs`` wait for.

        None = neither Redis nor the records know it. What could not be asked just now is left out.
        """
        found: dict[str, JobState | None] = {}
        for wanted in {dependency.job for job in jobs for dependency in job.spec.after}:
            try:
                state, sure = self._state(wanted)
            except UnavailableError as error:
                log.warning("job %s, which others wait for: %s", wanted, error.what)
                continue
            if state is not None or sure:
                found[wanted] = state
        return found

    def _state(self, wanted: str) -> tuple[JobState | None, bool]:
        """Return the state, and whether everybody who might know it was asked."""
        job = self._on_board(wanted)
        if job is not None:
            return job.state, True
        known = self._entry(wanted)
        with self._lock:
            if known.state is not None:
                return known.state, True
            version = known.version
        now = {task: job.state for task in known.tasks if (job := self._on_board(task)) is not None}
        now |= known.past
        absent = [task for task in known.tasks if task not in now]
        elsewhere = self._elsewhere(absent) if absent else {}
        now |= elsewhere
        state = combined(now.get(task) for task in known.tasks)
        with self._lock:
            known.past |= {task: end for task, end in elsewhere.items() if end in FINAL}
            if known.version == version:
                known.state = state
        return state, self._past is not None

    def _entry(self, wanted: str) -> _Known:
        with self._lock:
            known = self._known.get(wanted)
            if known is not None:
                self._known.move_to_end(wanted)
                return known
        tasks = tuple(self._store.jobs.array(wanted)) or (wanted,)
        with self._lock:
            known = self._known.setdefault(wanted, _Known(tasks))
            if len(self._known) > KEEP:
                self._known.popitem(last=False)
        return known

    def _elsewhere(self, ids: list[str]) -> dict[str, JobState]:
        found = {job.id: job.state for job in self._store.jobs.get_many(ids)}
        absent = [job_id for job_id in ids if job_id not in found]
        if absent and self._past is not None:
            found |= self._past(absent)
        return found


def combined(states: Iterable[JobState | None]) -> JobState | None:
    """Return the state of an array: its worst end, or not final while a task is not; None = nobody can say. Pure."""
    found = set(states)
    active = found - FINAL - {None}
    if active:
        return JobState.QUEUED if found == {JobState.QUEUED} else JobState.RUNNING
    for worst in (JobState.FAILED, JobState.CANCELLED):
        if worst in found:
            return worst
    return JobState.SUCCEEDED if found == {JobState.SUCCEEDED} else None
