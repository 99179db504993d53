"""What jobs are learnt to run: the runs that the records hold, then those that the board sees end.

Lives here: which runs tell how long jobs run, and that each is counted once.
Must not live here: what is made of them (policy/runtimes.py).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from labq.ending import EndReason
from labq.errors import LabqError
from labq.job import Job
from labq_scheduler.policy.runtimes import Kind, Runtimes
from labq_scheduler.snapshot import kind_of

log = logging.getLogger(__name__)

#: Runs that the estimates rest on; of each kind a few are enough (policy/runtimes.py), and 5,000 are weeks of a lab.
KEEP = 5000
#: Runs that are known to be counted: what the board may load again after an outage, and what the records told.
KEEP_SEEN = 4 * KEEP
#: Seconds between two times that records which did not answer are asked.
AGAIN = 10.0
#: Ends by the job itself or by its owner's will. What the lab ended or lost would have run for longer.
TELLING = frozenset(
    {
        EndReason.COMPLETED,
        EndReason.EXIT_CODE,
        EndReason.OUT_OF_MEMORY,
        EndReason.GPU_OUT_OF_MEMORY,
        EndReason.TIME_LIMIT,
        EndReason.DISK_LIMIT,
        EndReason.CANCELLED_BY_USER,
        EndReason.CANCELLED_BY_ADMIN,
        EndReason.IDLE_RECLAIMED,
    }
)


class PastRun(NamedTuple):
    """One run that is over."""

    #: seconds since the epoch
    ended_at: float
    #: (job, submitted at, number of the run)
    key: tuple[str, float, int]
    kind: Kind
    seconds: float


#: Asks the records for the newest runs, so many at most, that ended for one of these reasons; oldest first.
PastRuns = Callable[[int, frozenset[EndReason]], Sequence[PastRun]]


class Learning:
    """Feeds ``runtimes``. All but :meth:`start`, :meth:`stop` and :meth:`wait` under the board's lock."""

    def __init__(self, ask: PastRuns | None) -> None:
        """Begin with nothing.

        Args:
            ask: asks the records, in a thread of its own, until they answered once; None = there are none.
        """
        self.runtimes = Runtimes()
        self._ask = ask
        self._new: list[PastRun] = []
        #: what is in ``runtimes``, in order
        self._kept: deque[PastRun] = deque(maxlen=KEEP)
        self._seen: dict[tuple[str, float, int], None] = {}
        self._past: Sequence[PastRun] | None = None
        self._asked, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="learning", daemon=True)

    def start(self) -> None:
        """Begin to ask the records."""
        if self._ask is not None:
            self._thread.start()
        else:
            self._asked.set()

    def stop(self) -> None:
        """End the thread; records that hang are not waited for."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def wait(self, seconds: float) -> None:
        """Wait until the records were asked once, but no longer than so."""
        self._asked.wait(seconds)

    def note(self, job: Job, known: int = 0) -> None:
        """Note the runs of a job that are over, after the first ``known``."""
        for attempt in job.attempts[known:]:
            key = (job.id, job.submitted_at, attempt.number)
            if attempt.started_at is None or attempt.reason not in TELLING or not self._is_new(key):
                continue
            seconds = max(0.0, attempt.ended_at - attempt.started_at)
            self._new.append(PastRun(attempt.ended_at, key, kind_of(job), seconds))

    def fold(self) -> None:
        """Let ``runtimes`` know what is new."""
        new, self._new = self._new, []
        past, self._past = self._past, None
        if past is None:
            for run in sorted(new):
                self._kept.append(run)
                self.runtimes.add(run.kind, run.seconds)
            return
        older = [run for run in past if self._is_new(run.key)]
        self._kept = deque(sorted([*older, *self._kept, *new]), maxlen=KEEP)
        self.runtimes.forget()
        for run in self._kept:
            self.runtimes.add(run.kind, run.seconds)

    def _is_new(self, key: tuple[str, float, int]) -> bool:
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > KEEP_SEEN:
            del self._seen[next(iter(self._seen))]
        return True

    def _run(self) -> None:
        ask = self._ask
        while ask is not None and not self._stop.is_set():
            try:
                self._past = ask(KEEP, TELLING)
            except LabqError as error:
                log.warning("how long jobs ran before cannot be read, trying again: %s", error.what)
            except Exception:
                log.exception("how long jobs ran before cannot be read")
            else:
                return self._asked.set()
            self._asked.set()
            self._stop.wait(AGAIN)
        return None
