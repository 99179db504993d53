"""The longest that a job waits, as it can be proved (docs/explanation/backfill.md). Pure.

A job that has waited for ``Rules.bound`` is *late*. Late jobs go first, who began to wait the earliest before the others,
and what may delay the first of them is counted by kill limits only. So it starts within L + G, where L is the longest time
limit and G the longest grace; then the next one. Where the rules have caps, what comes free under one is kept for the late
job (decide.py), which takes L + G more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from labq.job import Job
from labq_scheduler.policy import rules as site
from labq_scheduler.policy.caps import never
from labq_scheduler.policy.fit import could_hold
from labq_scheduler.policy.parts import most_of
from labq_scheduler.policy.shape import Shape, shape_of

if TYPE_CHECKING:
    from labq_scheduler.snapshot import Snapshot

#: Seconds of the longest grace that a spec may have (labq/spec_values.py).
LONGEST_GRACE = 3600.0


def waiting_since(job: Job) -> float:
    """Return since when a job waits for what it needs: seconds since the epoch.

    Who was stopped or failed and comes back keeps its place among its equals, but waits anew: it was running meanwhile.
    """
    last = job.attempts[-1].ended_at if job.attempts else 0.0
    return max(job.submitted_at, job.not_before, job.spec.not_before, last)


def bound_of(job: Job, snapshot: Snapshot, rules: site.Rules, max_time: float | None = None) -> float | None:
    """Return the seconds within which a pending job starts for certain; None when nothing can be promised.

    Nothing can be promised without ``rules.bound``, without a site maximum, where the rules keep nodes for some people now
    or later, while something runs or waits that has no time limit, and for a job that waits for something else than
    room: another job, a moment, its image, a cap that is less than it asks for.

    Args:
        job: it waits.
        snapshot: the lab.
        rules: the lab's.
        max_time: longest time limit that a job may have, in seconds (``LABQ_MAX_TIME``); None = there is none.
    """
    if rules.bound is None or max_time is None:
        return None
    if any(window.until > snapshot.now for window in rules.windows):
        return None
    homes = _Homes(snapshot)
    line = next((row for row in snapshot.queue.jobs if any(other.id == job.id for other in row)), None)
    if line is None or not homes.has(job):
        return None
    asked = most_of(job.spec.gpus, (gpu for node in homes.nodes for gpu in node.gpus))
    if never(rules, job.owner, asked) is not None:  # rules may have changed since it was submitted
        return None
    holding = [other for jobs in snapshot.holding.values() for other in jobs]
    every = [*(other for row in snapshot.queue.jobs for other in row), *holding, *snapshot.held]
    if any(other.spec.time is None for other in every):
        return None
    # Jobs of one class stand in one line: it is late when those before it are.
    since = max(waiting_since(other) for other in line if arrival(other) <= arrival(job))
    late_at = max(snapshot.now, since + rules.bound)

    def older(jobs: Iterable[Job]) -> int:
        return sum(
            other.id != job.id and (waiting_since(other), arrival(other)) <= (since, arrival(job))
            for other in jobs
        )

    # Who is held back now and let go later comes first twice: it takes over the reservation from a younger one.
    turns = 1 + 2 * older(snapshot.held)
    for row in snapshot.queue.jobs:
        if many := older(row):
            turns += many if homes.has(row[0]) else 2 * many
    # Who is at a cap waits first until that is over, then for room.
    if rules.cap != site.Caps() or rules.caps or rules.group_caps:
        turns *= 2
    longest = max(max_time, *(other.spec.time or 0.0 for other in every)) + LONGEST_GRACE
    return late_at - snapshot.now + turns * longest


class _Homes:
    """The nodes where jobs wait for nothing but room: that take work, could hold them and have their images."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._images = snapshot.images
        self.nodes = [node for node in snapshot.nodes if node.takes_work(snapshot.now)]
        self._known: dict[tuple[Shape, str], bool] = {}

    def has(self, job: Job) -> bool:
        key = shape_of(job.spec), job.image_key
        if key not in self._known:
            image = self._images.get(job.image_key)
            self._known[key] = image is not None and any(
                image.ready_on(node.name) and could_hold(key[0], node) for node in self.nodes
            )
        return self._known[key]


def arrival(job: Job) -> tuple[int, int]:
    """Return what sorts jobs by their arrival: the number of the submission and the index in its array."""
    return job.seq, job.index or 0
