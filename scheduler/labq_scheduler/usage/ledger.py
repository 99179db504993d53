"""What each person is charged now: fair share asks for it, ``labq usage`` and the metrics show it.

Everything in it can be had again: runs that are over from the records (and from the board, before they are there),
runs that go on from the board, use outside the queue from the records and from agents' rows. Each run and each row
is counted once, by its key, so that it does not matter how often it is seen.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from labq.errors import LabqError
from labq.job import Job
from labq.node import Gpu
from labq.states import HOLDING
from labq.store import Event
from labq.usage import HOUR, UsageRow
from labq_scheduler.board import Board
from labq_scheduler.records.history import History
from labq_scheduler.usage.charge import HALF_LIVES, Run, fading, spread, worth
from labq_scheduler.usage.held import cards_of, gpus_held, holds_of, model_of

log = logging.getLogger(__name__)

#: (job, submitted at, number of the run)
RunKey = tuple[str, float, int]
_HOLDING = frozenset(str(state) for state in HOLDING)


class Ledger:
    """Accounts by person. Use it from any thread."""

    def __init__(
        self,
        board: Board,
        history: History,
        half_life: Callable[[], float],
        weight: Callable[[str], float] = lambda model: 1.0,
    ) -> None:
        """Begin empty; :meth:`refresh` fills it.

        Args:
            board: who holds what now; told to say when a run ends.
            history: the records.
            half_life: gives it in seconds; when it changes, all that was used is counted anew.
            weight: what a second of a card of that model counts.
        """
        self._board, self._history, self._weight = board, history, weight
        self._wanted_half_life, self.half_life = half_life, half_life()
        self._accounts: dict[tuple[str, str], tuple[float, float]] = {}  # (user, model) -> worth, then
        self._runs: dict[RunKey, float] = {}  # counted; when it ended
        self._rows: dict[tuple[int, str, str, str, str], float] = {}  # counted; held
        self._ended: deque[str] = deque()
        self._loaded = False
        self._lock = threading.Lock()
        board.subscribe(self._on_event)

    @property
    def loaded(self) -> bool:
        """Return whether the records are in it; before that, only what was seen since the start is charged."""
        return self._loaded

    def charged(self, now: float) -> dict[str, float]:
        """Return the weighted, decayed GPU-seconds of each person who used any.

        Raises:
            UnavailableError: Redis does not say which nodes there are.
        """
        nodes = [node for node, _ in self._board.nodes()]
        cards = cards_of(nodes)
        with self._lock:
            self._count_ended(cards, now)
            found: dict[str, float] = {}
            for (user, model), (value, then) in self._accounts.items():
                part = value * fading(now - then, self.half_life) * self._weight(model)
                found[user] = found.get(user, 0.0) + part
        for node in nodes:
            for job in self._board.holders(node.name)[""]:
                run = live_run(job, cards, now)
                if run is not None:
                    part = worth(run.gpus, run.start, run.end, now=now, half_life=self.half_life)
                    found[run.user] = found.get(run.user, 0.0) + part * self._weight(run.model)
        return found

    def refresh(self, rows: Iterable[UsageRow], now: float) -> None:
        """Count what is new: the records when they were not read yet, the board, and agents' rows.

        Raises:
            UnavailableError: Redis does not say which nodes there are; nothing is counted, ask again.
        """
        half_life = self._wanted_half_life()
        anew = half_life != self.half_life
        horizon = now - HALF_LIVES * half_life
        cards = cards_of(node for node, _ in self._board.nodes())
        read = None if self._loaded and not anew else self._read_records(horizon)
        if anew and self._loaded and read is None:  # rather the old one than half an account
            anew, horizon = False, now - HALF_LIVES * self.half_life
        runs, old_rows = read or ([], [])
        with self._lock:
            if anew:
                self.half_life = half_life
                for known in (self._accounts, self._runs, self._rows):
                    known.clear()
            for key, run in runs:
                self._count_run(key, run, now)
            for row in (*old_rows, *rows):
                self._count_row(row, now)
            for job in list(self._board.jobs.values()):  # events may have been missed: the board began anew
                self._count_job(job, cards, now)
            self._prune(horizon)
            self._loaded = self._loaded or read is not None

    # -- counting; the lock is held ------------------------------------------------------------------------

    def _count_ended(self, cards: Mapping[str, Gpu], now: float) -> None:
        while self._ended:
            job = self._board.get(self._ended.popleft())
            if job is not None:
                self._count_job(job, cards, now)

    def _count_job(self, job: Job, cards: Mapping[str, Gpu], now: float) -> None:
        for attempt in job.attempts:
            key = (job.id, job.submitted_at, attempt.number)
            if key in self._runs or attempt.started_at is None or not attempt.gpus:
                continue
            holds = holds_of(job, attempt)
            model, gpus = model_of(holds, cards), gpus_held(holds, cards)
            self._count_run(key, Run(job.owner, model, gpus, attempt.started_at, attempt.ended_at), now)

    def _count_run(self, key: RunKey, run: Run, now: float) -> None:
        if key in self._runs or run.end <= now - HALF_LIVES * self.half_life:
            return
        self._runs[key] = run.end
        self._add(
            run.user, run.model, worth(run.gpus, run.start, run.end, now=now, half_life=self.half_life), now
        )

    def _count_row(self, row: UsageRow, now: float) -> None:
        if not row.outside or row.hour <= now - HALF_LIVES * self.half_life:
            return
        key = (row.hour, row.node, row.epoch, row.gpu, row.user)
        more = row.held - self._rows.get(key, 0.0)
        if more > 0:
            self._rows[key] = row.held
            value = spread(more, row.hour, row.hour + HOUR, now=now, half_life=self.half_life)
            self._add(row.user, row.model, value, now)

    def _add(self, user: str, model: str, value: float, now: float) -> None:
        old, then = self._accounts.get((user, model), (0.0, now))
        self._accounts[user, model] = (old * fading(now - then, self.half_life) + value, now)

    def _prune(self, horizon: float) -> None:
        self._runs = {key: end for key, end in self._runs.items() if end > horizon}
        self._rows = {key: held for key, held in self._rows.items() if key[0] > horizon}

    # -- where it comes from -------------------------------------------------------------------------------

    def _read_records(self, horizon: float) -> tuple[list[tuple[RunKey, Run]], list[UsageRow]] | None:
        try:
            return self._history.runs(horizon), self._history.outside_use(horizon)
        except LabqError as error:
            log.warning("what people used before cannot be read, trying again: %s", error.what)
            return None

    def _on_event(self, event: Event) -> None:
        # In the board's thread: only noted here.
        if event.type == "moved" and event.fields["from"] in _HOLDING and event.fields["to"] not in _HOLDING:
            self._ended.append(event.fields["id"])


def live_run(job: Job, cards: Mapping[str, Gpu], now: float) -> Run | None:
    """Return the run that goes on, up to now; None when the job's container has not started or has no GPU."""
    if job.started_at is None or job.state not in HOLDING or not job.gpus:
        return None
    gpus = gpus_held(job.gpus, cards)
    return Run(job.owner, model_of(job.gpus, cards), gpus, job.started_at, max(now, job.started_at))
