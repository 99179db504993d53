"""Jobs that wait for what no machine that is up could give them, even if it were empty: their owners are told.

They can change the request (`labq rerun`), or ask who drained the machine; waiting alone does not help. A machine that
reboots is no reason: what is lacking must be lacking for a while, and that is counted from when it began to be, not from
when the job came. Once there is a machine for it again, the next time is told anew.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labq.job import Job
from labq.store import Store
from labq_scheduler.policy.fit import nearest_fit
from labq_scheduler.policy.shape import Shape
from labq_scheduler.snapshot import ClassKey, Snapshot

log = logging.getLogger(__name__)
#: Seconds for which a job waits in vain before its owner is told: a machine that reboots is back by then.
PATIENCE = 600.0
#: Seconds between two looks, and after which a look knows nothing of the one before: another server led meanwhile.
EVERY, GAP = 60.0, 180.0


@dataclass(frozen=True, slots=True)
class Stuck:
    """A job, and why it cannot start."""

    job: Job
    why: str


def lacks(snapshot: Snapshot) -> dict[ClassKey, str]:
    """Return what each class of jobs lacks that nothing that is up could ever hold. Pure."""
    up = [node for node in snapshot.nodes if node.takes_work(snapshot.now)]
    found = {}
    known: dict[Shape, str | None] = {}
    for key, jobs in zip(snapshot.queue.keys, snapshot.queue.jobs, strict=True):
        if key.shape not in known:
            known[key.shape] = nearest_fit(jobs[0].spec, up)
        lacking = known[key.shape]
        if lacking is not None:
            found[key] = (
                f"of the machines that are up, {lacking}" if up else "no machine is up and takes work"
            )
    return found


def find_stuck(
    snapshot: Snapshot,
    lacking: Mapping[ClassKey, str],
    since: Mapping[ClassKey, float],
    watching_since: float,
) -> list[Stuck]:
    """Return the first job of each person in each class that has waited in vain for long enough. Pure.

    Args:
        snapshot: the lab now.
        lacking: of :func:`lacks`.
        since: when each of these classes was first seen to lack something, seconds since the epoch.
        watching_since: since when nodes could have been heard; after an outage of Redis everybody seems silent.
    """
    return [
        Stuck(job, why)
        for key, jobs in zip(snapshot.queue.keys, snapshot.queue.jobs, strict=True)
        if (why := lacking.get(key)) is not None
        for job in _firsts(jobs)
        if snapshot.now - max(job.submitted_at, since[key], watching_since) >= PATIENCE
    ]


def _firsts(jobs: Sequence[Job]) -> list[Job]:
    firsts: dict[str, Job] = {}
    for job in jobs:
        firsts.setdefault(job.owner, job)
    return list(firsts.values())


class StuckWatch:
    """Looks now and then; each job's owner is told once for each time that there is nothing for it."""

    def __init__(self, store: Store) -> None:
        """Prepare; nothing is asked."""
        self._store = store
        self._looked = -1e18
        #: class of jobs -> since when nothing that is up could hold it
        self._since: dict[ClassKey, float] = {}
        #: classes for which there is a machine; what was told of them before is forgotten
        self._fit: set[ClassKey] = set()

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
        self._since = {key: self._since.get(key, snapshot.now) for key in lacking}
        jobs = dict(zip(snapshot.queue.keys, snapshot.queue.jobs, strict=True))
        fit = jobs.keys() - lacking.keys()
        again = [job.id for key in fit - self._fit for job in _firsts(jobs[key])]
        if again:
            self._store.events.forget_waiting(again)
        self._fit = fit
        for stuck in find_stuck(snapshot, lacking, self._since, watching_since):
            if self._store.events.tell_waiting(stuck.job, stuck.why, now=snapshot.now):
                log.info("job %s of %s waits in vain: %s", stuck.job.id, stuck.job.owner, stuck.why)
        self._looked = elapsed  # not before: what failed half-way is looked at again in the next turn
