"""Reading and writing the records of finished jobs, as ``Job`` values.

sqlalchemy is imported when the first record is read or written: 12 MB and 150 ms that an idle program saves.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from labq.clock import now
from labq.ending import EndReason
from labq.errors import NotFoundError, UnavailableError
from labq.job import Attempt, Job
from labq.node import Gpu
from labq.states import JobState
from labq.usage import UsageRow
from labq_scheduler.dependencies import combined
from labq_scheduler.learning import PastRun
from labq_scheduler.policy.runtimes import Kind
from labq_scheduler.usage.charge import Run
from labq_scheduler.usage.held import gpus_held, holds_of, model_of

if TYPE_CHECKING:
    from labq_scheduler.records.database import Database
    from labq_scheduler.verbs.listing import Question

T = TypeVar("T")


class History:
    """Finished jobs, for ever."""

    def __init__(self, url: str, data_dir: Path) -> None:
        """Open at first use.

        Args:
            url: SQLAlchemy URL; "" = SQLite in ``data_dir``.
            data_dir: the server's data directory.
        """
        self._url, self._data_dir = url, data_dir
        self._database: Database | None = None
        #: when something was last written, in seconds since the epoch; 0 = not since the start
        self.last_write = 0.0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """Return the class name only: the URL may hold a password."""
        return "History(…)"

    def open(self) -> bool:
        """Open now; return True when the tables were created just then."""
        return self._ask(lambda database: database.fresh)

    def put(self, jobs: Iterable[Job], cards: Mapping[str, Gpu] | None = None) -> None:
        """Write finished jobs with their attempts; those that are there are replaced.

        Args:
            jobs: those that are not finished are left out.
            cards: the lab's GPUs by uuid, to say what a share was a part of.
        """
        wanted = {(job.id, job.submitted_at): job for job in jobs if job.ended_at is not None}
        rows = [_job_row(job) for job in wanted.values()]
        attempts = [
            _attempt_row(job, attempt, cards or {}) for job in wanted.values() for attempt in job.attempts
        ]
        self._ask(lambda database: database.put(rows, attempts))
        self.last_write = now()

    def put_usage(self, rows: Sequence[UsageRow]) -> None:
        """Write what agents measured; of two rows with one key the larger stays."""
        self._ask(lambda database: database.usage.put(rows))
        self.last_write = now()

    def allocated(
        self, by: str, since: float, until: float, owner: str | None
    ) -> list[tuple[str, float, int]]:
        """Return (owner or node, GPU-seconds, jobs) of the runs that are over, in the window."""
        return self._ask(lambda database: database.usage.allocated(by, since, until, owner))

    def measured(
        self, by: str, since: float, until: float, at: float, user: str | None
    ) -> list[tuple[str, bool, float, float]]:
        """Return (user or node, outside the queue, GPU-seconds held, busy) in the window, asked at ``at``."""
        return self._ask(lambda database: database.usage.measured(by, since, until, at, user))

    def runs(self, since: float) -> list[tuple[tuple[str, float, int], Run]]:
        """Return the runs with GPUs that ended after ``since``, with what names each."""
        found = self._ask(lambda database: database.usage.runs(since))
        return [((row[0], row[1], row[2]), Run(*row[3:])) for row in found]

    def past_runs(self, most: int, reasons: frozenset[EndReason]) -> list[PastRun]:
        """Return how long the newest runs took, ``most`` at most, that ended for one of these reasons; oldest first."""
        found = self._ask(lambda database: database.usage.lengths(most, [str(reason) for reason in reasons]))
        return [
            PastRun(ended_at, (job, submitted_at, number), Kind(owner, name, gpus), max(0.0, seconds))
            for ended_at, job, submitted_at, number, owner, name, gpus, seconds in found
        ]

    def outside_use(self, since: float) -> list[UsageRow]:
        """Return what was held outside the queue since then."""
        return self._ask(lambda database: database.usage.outside(since))

    def get(self, job_id: str) -> Job | None:
        """Return the newest finished job of that id, or None."""
        text = self._ask(lambda database: database.get(job_id))
        return None if text is None else _job(text)

    def array(self, array_id: str) -> list[Job]:
        """Return the finished tasks of an array, in order."""
        return [_job(text) for text in self._ask(lambda database: database.array(array_id))]

    def states(self, ids: list[str]) -> dict[str, JobState]:
        """Return the states of the newest finished jobs, or arrays (their worst end), of these ids."""
        newest: dict[str, tuple[float, set[JobState]]] = {}
        for job_id, state, submitted in self._ask(lambda database: database.states(ids)):
            if job_id not in newest or newest[job_id][0] < submitted:
                newest[job_id] = (submitted, set())
            if newest[job_id][0] == submitted:
                newest[job_id][1].add(JobState(state))
        ends = {job_id: combined(states) for job_id, (_, states) in newest.items()}
        return {job_id: state for job_id, state in ends.items() if state is not None}

    def find(self, question: Question, until: float) -> tuple[list[Job], int]:
        """Return the newest jobs that match and ended before ``until`` (one more than a page), and how many match."""
        texts, total = self._ask(lambda database: database.find(question, until))
        return [_job(text) for text in texts], total

    def set_note(self, job: Job, note: str) -> Job:
        """Change the note of a recorded job.

        Raises:
            NotFoundError: it is not recorded.
        """
        new = replace(job, note=note)
        record = json.dumps(new.to_fields(), ensure_ascii=False)
        if not self._ask(lambda database: database.set_note(job.id, job.submitted_at, note, record)):
            raise NotFoundError(f"there is no job {job.id}", "labq ls --all shows everybody's jobs")
        return new

    def ping(self) -> None:
        """Do nothing when the database answers.

        Raises:
            UnavailableError: it does not.
        """
        self._ask(lambda database: database.ping())

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _ask(self, question: Callable[[Database], T]) -> T:
        from labq_scheduler.records import database as module

        with self._lock:
            if self._database is None:
                self._database = module.Database(self._url, self._data_dir)
            database = self._database
        try:
            return question(database)
        except module.SQLAlchemyError as error:
            raise UnavailableError(
                f"the database of the records failed ({type(error).__name__})",
                "the jobs run on; look at the disk of the data directory and at LABQ_RECORDS_URL",
            ) from error


def _job(text: str) -> Job:
    return Job.from_fields(json.loads(text))


def _job_row(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "submitted_at": job.submitted_at,
        "seq": job.seq,
        "task": -1 if job.index is None else job.index,
        "array": job.array,
        "owner": job.owner,
        "name": job.spec.name,
        "tags": " " + " ".join(job.spec.tags) + " ",
        "state": str(job.state),
        "end_reason": str(job.end_reason),
        "node": job.node,
        "gpu_request": str(job.spec.gpus),
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "exit_code": job.exit_code,
        "verdict": job.verdict,
        "note": job.note if job.note is not None else job.spec.note,
        "record": json.dumps(job.to_fields(), ensure_ascii=False),
    }


def _attempt_row(job: Job, attempt: Attempt, cards: Mapping[str, Gpu]) -> dict[str, Any]:
    holds = holds_of(job, attempt)
    return {
        "job_id": job.id,
        "submitted_at": job.submitted_at,
        "number": attempt.number,
        "owner": job.owner,
        "node": attempt.node,
        "gpus": " ".join(attempt.gpus),
        "gpu_count": len(attempt.gpus),
        "gpus_held": gpus_held(holds, cards),
        "model": model_of(holds, cards),
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "exit_code": attempt.exit_code,
        "reason": str(attempt.reason),
        "verdict": attempt.verdict,
    }
