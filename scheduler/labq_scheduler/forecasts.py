"""Keeps a forecast of the whole queue, for who asks. One thread; it works only while somebody asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from labq.clock import monotonic, now
from labq.errors import LabqError
from labq_scheduler.forecast.outlook import Forecast, Outlook
from labq_scheduler.forecast_apart import Apart, News, Question, answer
from labq_scheduler.policy.rules import Rules
from labq_scheduler.snapshot import Snapshot

log = logging.getLogger(__name__)

#: Seconds for which a forecast is good enough for a list, and for a question about one job.
LIST_AGE, ONE_AGE = 30.0, 5.0
#: Jobs that wait; of more, a process of its own thinks ahead: of so many it takes a second or two.
NEAR = 300
#: Seconds that one forecast may take here and apart; what was not reached by then starts "later than".
BUDGET, BUDGET_APART = 10.0, 120.0
#: Seconds of the longest rest after a forecast: at least half of the time belongs to others until then.
REST = 10.0
#: Seconds of work after which it lets others work as long as each further decision took: the server answers meanwhile.
POLITE = 0.2
#: Seconds that a question about one job waits for a forecast.
PATIENCE = 1.0


class Forecasts:
    """The latest forecast. Use it from any thread."""

    def __init__(self, snapshot: Callable[[float], Snapshot], rules: Callable[[], Rules]) -> None:
        """Prepare the thread.

        Args:
            snapshot: returns the lab at a moment (seconds since the epoch).
            rules: returns those in force.
        """
        self._snapshot, self._rules = snapshot, rules
        self._apart = Apart()
        self._latest: Forecast | None = None
        #: when the latest was begun, and how many seconds it took
        self._begun, self._took = -1e9, 0.0
        #: when the one that is being made was begun
        self._working: float | None = None
        self._asked = threading.Event()
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._one = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="forecast", daemon=True)

    def start(self) -> None:
        """Begin to work in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._asked.set()
        self._apart.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=3)

    def latest(self) -> Forecast | None:
        """Return what is known, at once; when it is old, a new one is made for who asks next."""
        if monotonic() - self._begun > LIST_AGE:
            self._asked.set()
        return self._latest

    def of(self, job_id: str, patience: float = PATIENCE) -> Outlook | None:
        """Return the outlook of a job that waits; None = not known yet.

        A new one is waited for a moment, unless the last took longer than that: then what is known must do.
        """
        found = self._latest
        known = None if found is None else found.of(job_id)
        if (known is not None and monotonic() - self._begun < ONE_AGE) or not self._thread.is_alive():
            return known
        with self._news:
            before = self._begun
            self._asked.set()
            working = 0.0 if self._working is None else monotonic() - self._working
            if max(self._took, working) <= patience:
                self._news.wait_for(lambda: self._begun > before or self._stop.is_set(), patience)
        found = self._latest
        return None if found is None else found.of(job_id)

    def think(self, question: Question) -> Forecast | None:
        """Return the answer to a question of one person; one is thought about at a time. None = too many ask, or it failed."""
        if not self._one.acquire(timeout=question.budget):
            return None
        try:
            return self._answer(question)
        except LabqError as error:
            log.warning("no forecast: %s", error.what)
            return None
        finally:
            self._one.release()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._asked.wait()
            self._asked.clear()
            if self._stop.is_set():
                return
            began, found = monotonic(), None
            self._working = began
            try:
                found = self._make()
            except LabqError as error:
                if not self._stop.is_set():
                    log.warning("no forecast: %s", error.what)
            except Exception:
                log.exception("no forecast: this one failed")
            with self._news:
                self._latest = found if found is not None else self._latest
                self._begun, self._took, self._working = began, monotonic() - began, None
                self._news.notify_all()
            self._stop.wait(min(REST, self._took))

    def _make(self) -> Forecast:
        question = Question(self._snapshot(now()), self._rules(), BUDGET_APART)
        return self._answer(question, self._first if self._latest is None else lambda found: None)

    def _first(self, found: Forecast) -> None:
        """Let one future be known while the others are thought through: nothing was known before."""
        self._latest = found

    def _answer(self, question: Question, news: News = lambda found: None) -> Forecast:
        if sum(len(jobs) for jobs in question.snapshot.queue.jobs) > NEAR:
            return self._apart(question, news)
        return answer(question, polite(min(BUDGET, question.budget), self._stop))


def polite(budget: float, stop: threading.Event | None = None) -> Callable[[], bool]:
    """Return what is asked before each step of work that must not hold others up; it says whether to go on.

    Args:
        budget: seconds, the pauses among them.
        stop: ends it early.
    """
    event = stop or threading.Event()
    began = last = monotonic()

    def go_on() -> bool:
        nonlocal last
        at = monotonic()
        if at - began > POLITE:
            event.wait(min(0.05, at - last))
        last = monotonic()
        return at - began < budget and not event.is_set()

    return go_on
