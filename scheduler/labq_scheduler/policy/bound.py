"""The longest that a job waits, as it can be proved (docs/explanation/backfill.md). Pure.

A job that has waited for ``Rules.bound`` is *late*. Late jobs go first, who began to wait the earliest before the others,
and what may delay the first of them is counted by kill limits only. So it starts within L + G, where L is the longest time
limit and G the longest grace; then the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from labq.job import Job
from labq_scheduler.policy import rules as site
from labq_scheduler.policy.fit import could_hold

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
    room: another job, a moment, its image. For a job whose owner is at a cap it counts from when that is over.

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
    queued = [other for row in snapshot.queue.jobs for other in row]
    holding = [other for jobs in snapshot.holding.values() for other in jobs]
    line = next((row for row in snapshot.queue.jobs if any(other.id == job.id for other in row)), None)
    if line is None or not _has_image(job, snapshot):
        return None
    every = [*queued, *holding, *snapshot.held]
    if any(other.spec.time is None for other in every):
        return None
    if not any(node.takes_work(snapshot.now) and could_hold(job.spec, node) for node in snapshot.nodes):
        return None
    # Jobs of one class stand in one line: it is late when those before it are.
    since = max(waiting_since(other) for other in line if arrival(other) <= arrival(job))
    late_at = max(snapshot.now, since + rules.bound)
    turns = 1 + sum(
        _turns(other, snapshot, rules)
        for other in (*queued, *snapshot.held)
        if other.id != job.id and (waiting_since(other), arrival(other)) <= (since, arrival(job))
    )
    longest = max(max_time, *(other.spec.time or 0.0 for other in every)) + LONGEST_GRACE
    return late_at - snapshot.now + turns * longest


def _turns(job: Job, snapshot: Snapshot, rules: site.Rules) -> int:
    """Return how often a job before this one may come first: twice when it is held back now and let go later."""
    capped = rules.cap != site.Caps() or rules.caps or rules.group_caps
    return 2 if capped or not _has_image(job, snapshot) or _is_held(job, snapshot.held) else 1


def _is_held(job: Job, held: Iterable[Job]) -> bool:
    return any(other.id == job.id for other in held)


def _has_image(job: Job, snapshot: Snapshot) -> bool:
    image = snapshot.images.get(job.image_key)
    return image is not None and any(image.ready_on(name) for name in image.nodes)


def arrival(job: Job) -> tuple[int, int]:
    """Return what sorts jobs by their arrival: the number of the submission and the index in its array."""
    return job.seq, job.index or 0
