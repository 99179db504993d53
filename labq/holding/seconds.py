"""Readings -> seconds held, busy and idle, by GPU and person. Pure.

Trapezoid rule: the time between two readings goes half to what the first and half to what the second says, so
that coming and going between two readings is right on average, not always too long or too short. A longer gap
(this program was restarted, the machine was asleep) goes only to who held the GPU at both its ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labq.holding.reading import GpuReading, GpuState
from labq.node import Gpu

#: Seconds between two readings up to which both count half.
STEADY = 10.0
#: Seconds of a gap above which nothing is said about it.
LONGEST_GAP = 120.0


@dataclass(frozen=True, slots=True)
class Share:
    """One person's part of one GPU at one moment."""

    #: of the GPU: 1/n when n people hold it
    held: float
    #: that part when the GPU works for this person, else 0
    busy: float


#: (user, outside the queue)
Who = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class Moment:
    """What counts of one reading of one GPU; small enough to be written down."""

    state: str
    shares: Mapping[Who, Share] = field(default_factory=dict)
    #: 0 to 1, or None
    utilization: float | None = None


@dataclass(slots=True)
class Spent:
    """Seconds of one GPU between two moments."""

    held: dict[Who, float] = field(default_factory=dict)
    busy: dict[Who, float] = field(default_factory=dict)
    states: dict[str, float] = field(default_factory=dict)
    #: integral of the utilization
    used: float = 0.0


def moment(reading: GpuReading) -> Moment:
    """Return what counts of a reading. Everybody who holds the GPU has the same part of it."""
    busy: dict[Who, bool] = {}
    for holder in reading.holders:
        who = (holder.user, holder.outside)
        busy[who] = busy.get(who, False) or holder.busy
    if reading.state is GpuState.LOST:
        busy = dict.fromkeys(busy, False)
    part = 1.0 / len(busy) if busy else 0.0
    shares = {who: Share(part, part if works else 0.0) for who, works in busy.items()}
    sample = reading.watched.sample if reading.fresh else None
    return Moment(str(reading.state), shares, sample.utilization if sample is not None else None)


def spent(before: Moment, after: Moment, seconds: float) -> Spent:
    """Return where the ``seconds`` between two moments of one GPU went."""
    out = Spent()
    if seconds <= 0 or seconds > LONGEST_GAP:
        return out
    steady = seconds <= STEADY
    for one, other in ((before, after), (after, before)):
        half = seconds / 2
        if steady or one.state == other.state:
            out.states[one.state] = out.states.get(one.state, 0.0) + half
        if one.utilization is not None and (steady or other.utilization is not None):
            out.used += one.utilization * half
        for who, share in one.shares.items():
            if not steady and who not in other.shares:
                continue
            out.held[who] = out.held.get(who, 0.0) + share.held * half
            out.busy[who] = out.busy.get(who, 0.0) + share.busy * half
    return out


@dataclass(frozen=True, slots=True)
class Step:
    """One GPU from its latest moment to this one."""

    gpu: Gpu
    moment: Moment
    #: monotonic seconds of the moment before; that of this one when there was none
    since: float
    spent: Spent


@dataclass(slots=True)
class Steps:
    """Keeps the latest moment of each GPU, and says where the time since then went."""

    #: GPU uuid -> its latest moment, and when that was (monotonic seconds)
    latest: dict[str, tuple[Moment, float]] = field(default_factory=dict)

    def to(self, readings: Iterable[GpuReading], at: float) -> list[Step]:
        """Return a step for each GPU of which something is known, and keep where it is now.

        A GPU of which nothing was heard yet stays where it was. So does one whose holder is not known yet: the time
        goes to whoever it turns out to be.

        Args:
            readings: of the GPUs now.
            at: monotonic seconds.
        """
        out = []
        for reading in readings:
            if reading.watched.sample is None or reading.pending:
                continue
            after = moment(reading)
            before, since = self.latest.get(reading.gpu.uuid, (after, at))
            self.latest[reading.gpu.uuid] = (after, at)
            out.append(Step(reading.gpu, after, since, spent(before, after, at - since)))
        return out
