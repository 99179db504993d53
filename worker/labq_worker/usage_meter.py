"""Readings -> rows of use for the records, by hour. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from labq.holding.reading import GpuReading
from labq.holding.seconds import Moment, moment, spent
from labq.usage import HOUR, UsageRow

#: Seconds after its end for which an hour is kept: so long may the store be away until its last rows are written.
#: (A week: an agent cut off for longer loses what it counted before that.)
KEEP = 7 * 86400

#: (hour, GPU uuid, user, outside)
Key = tuple[int, str, str, bool]


class UsageMeter:
    """What one life of an agent has counted. For one thread at a time."""

    def __init__(self, node: str, epoch: str) -> None:
        """Begin at nothing.

        Args:
            node: name of the node.
            epoch: names this life of the agent; no other may have the same.
        """
        self._node, self._epoch = node, epoch
        self._moments: dict[str, tuple[Moment, float]] = {}
        self._sums: dict[Key, tuple[float, float]] = {}
        self._models: dict[str, str] = {}
        self._changed: set[Key] = set()

    def add(self, readings: Iterable[GpuReading], at: float, now: float) -> None:
        """Count the time since the last readings.

        Args:
            readings: of the GPUs that are real.
            at: monotonic seconds.
            now: seconds since the epoch: which hour it belongs to.
        """
        hour = int(now // HOUR) * HOUR
        for reading in readings:
            if reading.watched.sample is None or reading.pending:
                continue
            uuid, after = reading.gpu.uuid, moment(reading)
            self._models[uuid] = reading.gpu.model
            before = self._moments.get(uuid)
            self._moments[uuid] = (after, at)
            if before is None:
                continue
            gone = spent(before[0], after, at - before[1])
            for (user, outside), held in gone.held.items():
                key = (hour, uuid, user, outside)
                was_held, was_busy = self._sums.get(key, (0.0, 0.0))
                self._sums[key] = (was_held + held, was_busy + gone.busy.get((user, outside), 0.0))
                self._changed.add(key)

    def changed(self) -> list[UsageRow]:
        """Return the rows that grew since they were last noted as written."""
        return [self._row(key) for key in sorted(self._changed)]

    def written(self, rows: Iterable[UsageRow], now: float) -> None:
        """Note that rows are in the store, as they were then; forget hours that are over."""
        for row in rows:
            key = (row.hour, row.gpu, row.user, row.outside)
            if self._sums.get(key) == (row.held, row.busy):
                self._changed.discard(key)
        current = int(now // HOUR) * HOUR
        for key in list(self._sums):
            over = key[0] < current and key not in self._changed
            if over or key[0] < now - KEEP:
                del self._sums[key]
                self._changed.discard(key)

    def _row(self, key: Key) -> UsageRow:
        hour, uuid, user, outside = key
        held, busy = self._sums[key]
        return UsageRow(
            hour, self._node, self._epoch, uuid, self._models.get(uuid, ""), user, outside, held, busy
        )
