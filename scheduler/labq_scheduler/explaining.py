"""What would be decided now, and why each class waits: worked out while somebody asks, and kept for a second.

Lives here: how old an answer may be, and that each sentence is made once for all jobs that it is true of.
Must not live here: the sentences (policy/why.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from labq.clock import monotonic, now
from labq.job import Job
from labq_scheduler.decide import decide
from labq_scheduler.decisions import Decisions
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.rules import RulesNow
from labq_scheduler.policy.why import why_waiting
from labq_scheduler.snapshot import ClassKey, Snapshot

#: Seconds between two times that it is worked out.
EVERY = 1.0


class Explanation:
    """One moment. Use it from any thread."""

    def __init__(self, snapshot: Snapshot, decisions: Decisions, ground: Ground) -> None:
        """Explain what was decided.

        Args:
            snapshot: what the decision saw.
            decisions: what came of it.
            ground: as the decision found it; it is not changed any more.
        """
        self.snapshot, self.decisions = snapshot, decisions
        self._ground = ground
        self._said: dict[ClassKey, str | None] = dict.fromkeys(snapshot.queue.keys)

    def ground(self) -> Ground:
        """Return a copy of what is free where: to think ahead from here."""
        return self._ground.copy()

    def why(self, key: ClassKey, head: Job) -> str | None:
        """Return why the first job of a class waits; None when the class was not there."""
        said = self._said.get(key)
        if said is None and key in self._said:
            could = self._ground.could(key.shape)
            said = self._said[key] = why_waiting(key, head, self.snapshot, self.decisions, could)
        return said


class Explaining:
    """The latest explanation. Use it from any thread."""

    def __init__(self, snapshot: Callable[[float], Snapshot], rules: RulesNow) -> None:
        """Begin without one.

        Args:
            snapshot: returns the lab at a moment (seconds since the epoch).
            rules: returns those in force.
        """
        self._snapshot, self._rules = snapshot, rules
        self._latest: Explanation | None = None
        self._made = -1e9
        self._ground = Ground()
        self._working = threading.Lock()

    def __call__(self) -> Explanation:
        """Return what would be decided now: a second old at most."""
        with self._working:  # one thread works it out, the others wait for that
            if self._latest is None or monotonic() - self._made > EVERY:
                snapshot, ground = self._snapshot(now()), self._ground.copy()
                decisions = decide(snapshot, self._rules(), ground)
                self._ground, self._latest = ground, Explanation(snapshot, decisions, ground)
                self._made = monotonic()
            return self._latest
