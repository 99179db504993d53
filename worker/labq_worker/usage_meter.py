"""Readings -> rows of use for the records, by hour. Pure.

Which hour it is follows the monotonic clock from an *anchor* on the wall clock, so that a clock that is set does not
count an hour twice. When the two have come apart, the anchor is taken anew and with it a new epoch: rows of both add
up, none shrinks, and none can say more than an hour has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from labq.holding.reading import GpuReading
from labq.holding.seconds import Steps, Who
from labq.node import Gpu
from labq.usage import HOUR, LONGEST, UsageRow, fitting

#: Seconds by which the wall clock may differ from what is reckoned: slewing and small steps stay far below.
APART = 60.0
#: Seconds for which sums that are written and grow no more are kept: longer than their hour can last.
KEEP_WRITTEN = 2.0 * HOUR
#: Seconds for which sums that are not written are kept: so long may the store be away.
#: (A week: an agent cut off for longer loses what it counted before that.)
KEEP = 7 * 86400.0

#: (epoch, hour, GPU uuid, user, outside)
Key = tuple[str, int, str, str, bool]


@dataclass(slots=True)
class _Sum:
    model: str
    held: float = 0.0
    busy: float = 0.0
    #: monotonic seconds when it last grew
    at: float = 0.0
    written: bool = False


class UsageMeter:
    """What one life of an agent has counted. For one thread at a time."""

    def __init__(self, node: str, epoch: str) -> None:
        """Begin at nothing.

        Args:
            node: name of the node.
            epoch: names this life of the agent; no other may have the same, nor one that begins with it.
        """
        self._node, self._epoch = node, epoch
        self._steps = Steps()
        self._sums: dict[Key, _Sum] = {}
        #: wall clock minus monotonic clock; None before the first reading
        self._anchor: float | None = None
        self._anchors = 0

    def add(self, readings: Sequence[GpuReading], at: float, now: float) -> None:
        """Count the time since the last readings.

        Args:
            readings: of the GPUs that are real.
            at: monotonic seconds.
            now: seconds since the epoch.
        """
        if self._anchor is None:
            self._anchor = now - at
        for step in self._steps.to(readings, at):
            parts = dict(_hours(self._anchor + step.since, self._anchor + at))
            for who, held in step.spent.held.items():
                for hour, part in parts.items():
                    busy = step.spent.busy.get(who, 0.0)
                    self._grow(hour, step.gpu, who, held * part, busy * part, at)
        if abs(now - at - self._anchor) > APART:
            # Only now: the time that was just counted passed by the old reckoning.
            self._anchor = now - at
            self._anchors += 1
        self._forget(at)

    def changed(self) -> list[UsageRow]:
        """Return the rows that grew since they were last noted as written."""
        return [self._row(key) for key in sorted(self._sums) if not self._sums[key].written]

    def written(self, rows: Iterable[UsageRow]) -> None:
        """Note that rows are in the store, as they were then."""
        for row in rows:
            found = self._sums.get((row.epoch, row.hour, row.gpu, row.user, row.outside))
            if found is not None and (found.held, found.busy) == (row.held, row.busy):
                found.written = True

    def _grow(self, hour: int, gpu: Gpu, who: Who, held: float, busy: float, at: float) -> None:
        epoch = f"{self._epoch}.{self._anchors}" if self._anchors else self._epoch
        key = (epoch, hour, gpu.uuid, fitting(who[0], LONGEST["user"]), who[1])
        found = self._sums.setdefault(key, _Sum(fitting(gpu.model, LONGEST["model"])))
        found.held += held
        found.busy += busy
        found.at, found.written = at, False

    def _forget(self, at: float) -> None:
        for key, each in list(self._sums.items()):
            if at - each.at > (KEEP_WRITTEN if each.written else KEEP):
                del self._sums[key]

    def _row(self, key: Key) -> UsageRow:
        epoch, hour, uuid, user, outside = key
        found = self._sums[key]
        return UsageRow(hour, self._node, epoch, uuid, found.model, user, outside, found.held, found.busy)


def _hours(start: float, end: float) -> Iterator[tuple[int, float]]:
    """Return the hours that a time lies in, each with the part of the time in it."""
    hour = int(start // HOUR) * HOUR
    while hour < end:
        part = min(end, hour + HOUR) - max(start, hour)
        if part > 0:
            yield hour, part / (end - start)
        hour += HOUR
