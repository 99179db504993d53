"""How much of the last minutes each job used its GPUs. Pure.

What nobody measured (simulated GPUs, a driver that hangs, a silent node, a server that has just started) is not idle:
a window counts only when it is covered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Mapping
from typing import Any

from labq.holding.facts import UNKNOWN
from labq.job import Job

#: Seconds between two samples, and seconds of a bucket.
EVERY, BUCKET = 5.0, 60.0
#: Part of a window that must have been sampled.
COVERED = 0.8
#: Part of the samples that may be busy all the same: one stray kernel does not reset the clock. (job_defense_shield
#: of Princeton asks for every sample to be idle, and is fooled by a heartbeat kernel.)
TOLERATED = 0.05
#: Seconds that are remembered.
LONGEST = 48 * 3600.0


class Windows:
    """Samples by job and attempt, in buckets of a minute. All times are of one clock that is never set."""

    def __init__(self) -> None:
        """Remember nothing."""
        #: (job, attempt) -> buckets: [number of the minute, samples, busy samples]
        self._buckets: dict[tuple[str, int], deque[list[int]]] = {}

    def note(self, job: Job, *, busy: bool, at: float) -> None:
        """Note one sample of a running job."""
        buckets = self._buckets.setdefault((job.id, job.attempt), deque(maxlen=int(LONGEST / BUCKET)))
        minute = int(at // BUCKET)
        if not buckets or buckets[-1][0] != minute:
            buckets.append([minute, 0, 0])
        buckets[-1][1] += 1
        buckets[-1][2] += busy

    def keep_only(self, jobs: Container[tuple[str, int]]) -> None:
        """Forget all other (job, attempt)."""
        for key in [key for key in self._buckets if key not in jobs]:
            del self._buckets[key]

    def is_idle(self, job: Job, seconds: float, now: float) -> bool:
        """Return whether the job's GPUs did nothing for the last ``seconds``, as far as one can know."""
        buckets = self._buckets.get((job.id, job.attempt))
        if not buckets or buckets[0][0] > int((now - seconds) // BUCKET) + 1:
            return False  # it has not been watched, or has not run, for so long
        samples, busy = self._since(job, now - seconds)
        return samples >= COVERED * seconds / EVERY and busy <= TOLERATED * samples

    def has_worked(self, job: Job, seconds: float, now: float) -> bool:
        """Return whether the job's GPUs certainly worked in the last ``seconds``. Not to know is neither."""
        _, busy = self._since(job, now - seconds)
        return busy > TOLERATED * seconds / EVERY

    def _since(self, job: Job, begin: float) -> tuple[int, int]:
        """Return the samples since then, and those of them that were busy."""
        samples = busy = 0
        for minute, count, worked in reversed(self._buckets.get((job.id, job.attempt), ())):
            if minute <= int(begin // BUCKET):
                break
            samples += count
            busy += worked
        return samples, busy


def is_busy(job: Job, readings: Mapping[str, Any]) -> bool | None:
    """Return whether one of the job's GPUs works for it; None = nobody measured.

    Args:
        job: a running job.
        readings: of its node, fresh ones (``labq.wire.fresh_readings``).
    """
    said = [readings.get("gpus", {}).get(hold.uuid) for hold in job.gpus]
    if not said or any(each is None or "memory_used" not in each for each in said):
        return None
    busy = [holder for each in said if each for holder in each.get("holders", ()) if holder.get("busy")]
    if any(holder.get("job") == job.id for holder in busy):
        return True
    # Somebody whom no rule names works there: that may well be the job.
    return None if any(holder.get("user") in {UNKNOWN, job.owner} for holder in busy) else False
