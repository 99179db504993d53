"""What owners of idle jobs were told, and which of them are kept for a while."""

from __future__ import annotations

import json
from collections.abc import Sequence

from labq.job import Job
from labq.store import keys
from labq.store.connection import Connection, answers


class IdleStore:
    """Warnings and snoozes by job."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``."""
        self._redis = connection

    @answers
    def tell(
        self, job: Job, stage: int, *, idle: float, ends_at: float | None, now: float, again: bool = False
    ) -> bool:
        """Note that the owner is told, with the event that tells; once for each attempt and stage.

        Args:
            job: the job.
            stage: 1 or 2.
            idle: seconds for which it has been idle.
            ends_at: seconds since the epoch at which it will be ended; None = it will not.
            now: seconds since the epoch.
            again: tell it also when it was told before.

        Returns:
            False when that was told before; nothing is written then.
        """
        ends = "" if ends_at is None else f"{ends_at:.3f}"
        args: list[str | int | float] = [
            job.id,
            job.attempt,
            stage,
            now,
            job.owner,
            job.node or "",
            f"{idle:.0f}",
            ends,
            int(again),
        ]
        (told,) = self._redis.script("idle", args)
        return bool(told == "1")

    @answers
    def told(self, ids: Sequence[str]) -> dict[str, tuple[int, int, float]]:
        """Return (attempt, stage, when) by job id, of those whose owners were told something."""
        pipe = self._redis.client.pipeline(transaction=False)
        for job_id in ids:
            pipe.get(keys.IDLE + job_id)
        found = zip(ids, pipe.execute(), strict=True)
        return {
            job_id: (int(a), int(s), float(t))
            for job_id, text in found
            if text
            for a, s, t in [json.loads(text)]
        }

    @answers
    def forget(self, job_id: str) -> None:
        """Note that it works again: what comes later is told anew."""
        self._redis.client.delete(keys.IDLE + job_id)

    @answers
    def keep(self, job_id: str, seconds: float, most: float | None = None) -> float | None:
        """Do not end the job for being idle for so long, and begin to warn anew after it.

        Args:
            job_id: the job.
            seconds: from now; what was asked for before and has not passed is replaced.
            most: seconds for which it may be kept in all, over its whole life; None = no limit.

        Returns:
            None when it is kept; else the seconds for which it could still be kept, and nothing is written.
        """
        limit = 0 if most is None else int(most * 1000)
        kept, *left = self._redis.script("keep", [job_id, int(seconds * 1000), limit])
        return None if kept == "1" else float(left[0]) / 1000

    @answers
    def kept(self, ids: Sequence[str]) -> set[str]:
        """Return those of the jobs that are kept now."""
        found = self._redis.client.mget([keys.IDLE_KEEP + job_id for job_id in ids]) if ids else []
        return {job_id for job_id, value in zip(ids, found, strict=True) if value}
