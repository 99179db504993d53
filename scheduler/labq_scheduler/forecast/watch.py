"""Keeps a forecast of the whole queue, for who asks. One thread; it works only while somebody asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from labq.clock import monotonic, now
from labq.errors import LabqError
from labq_scheduler.forecast.ahead import Now
from labq_scheduler.forecast.outlook import Forecast, Outlook, forecast
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.rules import Rules
from labq_scheduler.snapshot import Snapshot

log = logging.getLogger(__name__)

#: Seconds for which a forecast is good enough for a list, and for a question about one job.
LIST_AGE, ONE_AGE = 30.0, 5.0
#: Seconds that one forecast may take; what was not reached by then starts "later than".
BUDGET = 10.0
#: Seconds of work after which it lets others work as long as each further decision took: the server answers meanwhile.
POLITE = 0.2
#: Seconds that a question about one job waits for a forecast.
PATIENCE = 2.0


class Forecasts:
    """The latest forecast. Use it from any thread."""

    def __init__(self, snapshot: Callable[[float], Snapshot], rules: Callable[[], Rules]) -> None:
        """Prepare the thread.

        Args:
            snapshot: returns the lab at a moment (seconds since the epoch).
            rules: returns those in force.
        """
        self._snapshot, self._rules = snapshot, rules
        self._ground = Ground()
        self._latest: Forecast | None = None
        self._made = -1e9
        self._asked = threading.Event()
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="forecast", daemon=True)

    def start(self) -> None:
        """Begin to work in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join(timeout=3)

    def latest(self) -> Forecast | None:
        """Return what is known, at once; when it is old, a new one is made for who asks next."""
        if monotonic() - self._made > LIST_AGE:
            self._asked.set()
        return self._latest

    def of(self, job_id: str, patience: float = PATIENCE) -> Outlook | None:
        """Return the outlook of a job that waits, and wait a moment for it; None = not known yet."""
        wanted = monotonic() - ONE_AGE
        found = self._latest
        if (self._made < wanted or found is None or found.of(job_id) is None) and self._thread.is_alive():
            with self._news:
                before = self._made
                self._asked.set()
                self._news.wait_for(lambda: self._made > before or self._stop.is_set(), patience)
            found = self._latest
        return None if found is None else found.of(job_id)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._asked.wait()
            self._asked.clear()
            if self._stop.is_set():
                return
            began = monotonic()
            try:
                found: Forecast | None = self._make(began)
            except LabqError as error:
                log.warning("no forecast: %s", error.what)
                found = None
            except Exception:
                log.exception("no forecast: this one failed")
                found = None
            with self._news:
                self._latest, self._made = found if found is not None else self._latest, monotonic()
                self._news.notify_all()
            # Half of the time belongs to others.
            self._stop.wait(min(BUDGET, self._made - began))

    def _make(self, began: float) -> Forecast:
        self._last = began

        def go_on() -> bool:
            at = monotonic()
            if at - began > POLITE:
                self._stop.wait(min(0.05, at - self._last))
            self._last = monotonic()
            return at - began < BUDGET and not self._stop.is_set()

        begin = Now.of(self._snapshot(now()), self._rules(), self._ground)
        return forecast(begin, go_on=go_on)
