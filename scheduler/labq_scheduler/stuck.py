"""Jobs that wait for what no machine that is up could give them, even if it were empty: their owners are told.

They can change the request (`labq rerun`), or ask who drained the machine; waiting alone does not help.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from labq.errors import UnavailableError
from labq.job import Job
from labq.store import Store
from labq_scheduler.policy.fit import nearest_fit
from labq_scheduler.snapshot import Snapshot

log = logging.getLogger(__name__)
#: Seconds that a job waits before its owner is told: a machine that reboots is back by then.
PATIENCE = 600.0
#: Seconds between two looks.
EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Stuck:
    """A job, and why it cannot start."""

    job: Job
    why: str


def find_stuck(snapshot: Snapshot) -> list[Stuck]:
    """Return the first job of each person in each class of jobs that nothing that is up could ever hold. Pure."""
    up = [node for node in snapshot.nodes if node.takes_work(snapshot.now)]
    found = []
    for jobs in snapshot.pending.values():
        firsts: dict[str, Job] = {}
        for job in jobs:
            firsts.setdefault(job.owner, job)
        old = [job for job in firsts.values() if snapshot.now - job.submitted_at >= PATIENCE]
        if not old:
            continue
        lacking = nearest_fit(old[0].spec, up)
        if lacking is not None:
            why = f"of the machines that are up, {lacking}" if up else "no machine is up and takes work"
            found += [Stuck(job, why) for job in old]
    return found


class StuckWatch:
    """Looks now and then; each job's owner is told once."""

    def __init__(self, store: Store) -> None:
        """Prepare; nothing is asked."""
        self._store = store
        self._looked = -1e18

    def look(self, snapshot: Snapshot) -> None:
        """Look, when it is time to.

        Raises:
            UnavailableError: Redis went away.
        """
        if snapshot.now - self._looked < EVERY:
            return
        self._looked = snapshot.now
        for stuck in find_stuck(snapshot):
            try:
                if self._store.events.tell_waiting(stuck.job, stuck.why, now=snapshot.now):
                    log.info("job %s of %s waits in vain: %s", stuck.job.id, stuck.job.owner, stuck.why)
            except UnavailableError:
                self._looked = -1e18
                raise
