"""Jobs that wait for what no machine that is up could give them, even if it were empty: their owners are told.

They can change the request (`labq rerun`), or ask who drained the machine; waiting alone does not help. A machine that
reboots is no reason: what is lacking must be lacking for a while, and that is counted from when it began to be, not from
when the job came. Once there is a machine for it again, the next time is told anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from labq.job import Job
from labq.store import Store
from labq_scheduler.policy.fit import nearest_fit
from labq_scheduler.policy.shape import Shape
from labq_scheduler.snapshot import Snapshot

log = logging.getLogger(__name__)
#: Seconds for which a job waits in vain before its owner is told: a machine that reboots is back by then.
PATIENCE = 600.0
#: Seconds between two looks, and after which a look knows nothing of the one before: another server led meanwhile.
EVERY, GAP = 60.0, 180.0


#: Who asks for what. (How long it is thought to run does not matter here, so classes of jobs are too fine.)
Ask = tuple[str, Shape]


@dataclass(frozen=True, slots=True)
class Stuck:
    """A job, and why it cannot start."""

    job: Job
    why: str


def lacks(snapshot: Snapshot) -> dict[Ask, str]:
    """Return what all who wait lack that nothing that is up could ever hold. Pure."""
    up = [node for node in snapshot.nodes if node.takes_work(snapshot.now)]
    found = {}
    known: dict[Shape, str | None] = {}
    for ask, job in firsts(snapshot).items():
        shape = ask[1]
        if shape not in known:
            known[shape] = nearest_fit(job.spec, up)
        lacking = known[shape]
        if lacking is not None:
            found[ask] = (
                f"of the machines that are up, {lacking}" if up else "no machine is up and takes work"
            )
    return found


def firsts(snapshot: Snapshot) -> dict[Ask, Job]:
    """Return the first of the jobs of each person that ask for the same. Pure."""
    found: dict[Ask, Job] = {}
    for key, jobs in zip(snapshot.queue.keys, snapshot.queue.jobs, strict=True):
        ask = (key.owner, key.shape)
        known = found.setdefault(ask, jobs[0])
        if (jobs[0].seq, jobs[0].index or 0) < (known.seq, known.index or 0):
            found[ask] = jobs[0]
    return found


def find_stuck(
    snapshot: Snapshot, lacking: Mapping[Ask, str], since: Mapping[Ask, float], watching_since: float
) -> list[Stuck]:
    """Return the first of equal jobs of each person that has waited in vain for long enough; in order of arrival. Pure.

    Args:
        snapshot: the lab now.
        lacking: of :func:`lacks`.
        since: when each of these was first seen to lack something, seconds since the epoch.
        watching_since: since when nodes could have been heard; after an outage of Redis everybody seems silent.
    """
    return [
        Stuck(job, lacking[ask])
        for ask, job in sorted(firsts(snapshot).items(), key=lambda row: (row[1].seq, row[1].index or 0))
        if ask in lacking and snapshot.now - max(job.submitted_at, since[ask], watching_since) >= PATIENCE
    ]


class StuckWatch:
    """Looks now and then; each job's owner is told once for each time that there is nothing for it."""

    def __init__(self, store: Store) -> None:
        """Prepare; nothing is asked."""
        self._store = store
        self._looked = -1e18
        #: since when nothing that is up could hold it
        self._since: dict[Ask, float] = {}
        #: that for which there is a machine; what was told of them before is forgotten
        self._fit: set[Ask] = set()

    def look(self, snapshot: Snapshot, *, watching_since: float, elapsed: float) -> None:
        """Look, when it is time to.

        Args:
            snapshot: the lab now.
            watching_since: since when nodes could have been heard, seconds since the epoch.
            elapsed: by a clock that is never set (``labq.clock.monotonic``).

        Raises:
            UnavailableError: Redis went away.
        """
        if elapsed - self._looked < EVERY:
            return
        if elapsed - self._looked > GAP:
            self._since, self._fit = {}, set()
        lacking = lacks(snapshot)
        self._since = {ask: self._since.get(ask, snapshot.now) for ask in lacking}
        jobs = firsts(snapshot)
        fit = jobs.keys() - lacking.keys()
        again = [jobs[ask].id for ask in fit - self._fit]
        if again:
            self._store.events.forget_waiting(again)
        self._fit = fit
        for stuck in find_stuck(snapshot, lacking, self._since, watching_since):
            if self._store.events.tell_waiting(stuck.job, stuck.why, now=snapshot.now):
                log.info("job %s of %s waits in vain: %s", stuck.job.id, stuck.job.owner, stuck.why)
        self._looked = elapsed  # not before: what failed half-way is looked at again in the next turn
