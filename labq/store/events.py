"""The event stream: what happened, in order. Append-only; written by the scripts and stores, read by all.

type       fields
submitted  at, id, indices ("" or JSON list), owner, record (JSON, flat form without id, seq, state)
moved      at, id, from, to, owner, by, lease, node, set (JSON), drop (JSON)
noted      at, id, owner, set (JSON)
outputs    at, id, owner, set (JSON), drop (JSON): a queued job waits no longer for outputs of its last attempt
node       at, node, what (registered, drained, resumed, lost, removed), reason
image      at, key, node, state (preparing, ready, failed, absent)
waiting    at, id, owner, why (a clause)
idle       at, id, owner, attempt, stage (1, 2), node, seconds, ends_at ("" = it is not ended)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labq.job import Job
from labq.store import keys
from labq.store.connection import Connection, answers

#: Why nobody was told of an event: it was too old when it was read, or was dropped before.
MISSED = ("old", "trimmed")


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the stream."""

    #: Redis stream id; ids grow
    id: str
    fields: Mapping[str, str]

    @property
    def type(self) -> str:
        """Return the kind of event."""
        return self.fields["type"]


class EventStore:
    """The stream and its readers' cursors."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``."""
        self._redis = connection

    @answers
    def last_id(self) -> str:
        """Return the id of the newest event; "0-0" when there is none."""
        newest = self._redis.client.xrevrange(keys.EVENTS, count=1)
        return str(newest[0][0]) if newest else "0-0"

    @answers
    def first_id(self) -> str:
        """Return the id of the oldest event kept; "0-0" when there is none."""
        oldest = self._redis.client.xrange(keys.EVENTS, count=1)
        return str(oldest[0][0]) if oldest else "0-0"

    @answers
    def read(self, after: str, *, count: int = 5000, block_ms: int | None = None) -> list[Event]:
        """Return events after the id ``after``, oldest first.

        Args:
            after: a stream id; "0-0" = from the oldest kept.
            count: at most so many.
            block_ms: wait so long for the first; None = do not wait.
        """
        found = self._redis.client.xread({keys.EVENTS: after}, count=count, block=block_ms)
        return [Event(str(i), fields) for _, entries in found or [] for i, fields in entries]

    @answers
    def tell_waiting(self, job: Job, why: str, *, now: float) -> bool:
        """Write the event that a queued job waits for what its owner can change; once until it is forgotten.

        Args:
            job: the job.
            why: a clause.
            now: seconds since the epoch.

        Returns:
            False when that was told before, or the job waits no more; nothing is written then.
        """
        (told,) = self._redis.script("waiting", [job.id, now, job.owner, why])
        return bool(told == "1")

    @answers
    def forget_waiting(self, ids: Sequence[str]) -> None:
        """Note that there is a machine for these jobs again: should it go, that is told anew."""
        if ids:
            self._redis.client.delete(*(keys.TOLD_WAITING + job_id for job_id in ids))

    @answers
    def miss(self, reason: str, count: int) -> None:
        """Count events that nobody was told of, for one of the reasons in ``MISSED``."""
        self._redis.client.hincrby(keys.MISSED, reason, count)

    @answers
    def missed(self) -> dict[str, int]:
        """Return how many events nobody was told of, by reason."""
        return {str(reason): int(count) for reason, count in self._redis.client.hgetall(keys.MISSED).items()}

    @answers
    def cursor(self, reader: str) -> str:
        """Return the last id that ``reader`` has dealt with; "0-0" at first."""
        return str(self._redis.client.get(keys.CURSOR + reader) or "0-0")

    @answers
    def set_cursor(self, reader: str, event_id: str) -> None:
        """Note that ``reader`` has dealt with everything up to ``event_id``."""
        self._redis.client.set(keys.CURSOR + reader, event_id)


def id_key(event_id: str) -> tuple[int, int]:
    """Return the key by which stream ids sort."""
    millis, _, part = event_id.partition("-")
    return int(millis), int(part or 0)
