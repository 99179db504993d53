"""What one page of metrics is made from. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labq.holding.reading import GpuReading


@dataclass(frozen=True, slots=True)
class CollectorStatus:
    """How one collector does."""

    name: str
    #: seconds since the epoch of its last success; 0 = never
    last: float = 0.0
    success: bool = False
    #: seconds of its last try
    duration: float = 0.0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class ContainerUse:
    """A container that runs."""

    name: str
    id: str
    image: str
    user: str
    source: str
    job: str
    #: seconds
    cpu: float | None
    #: bytes
    memory: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of one node."""

    gpus: Sequence[GpuReading] = ()
    expected: int = 0
    driver: str = ""
    #: library and kernel module of the driver differ; None = not known
    mismatch: bool | None = None
    #: uuid -> index of the GPU, also of those that are not there now
    slots: Mapping[str, str] = field(default_factory=dict)
    #: (uuid, user, scope) -> seconds held, seconds busy
    users: Mapping[tuple[str, str, str], tuple[float, float]] = field(default_factory=dict)
    #: (uuid, state) -> seconds
    states: Mapping[tuple[str, str], float] = field(default_factory=dict)
    #: uuid -> seconds of full use
    used: Mapping[str, float] = field(default_factory=dict)
    #: (uuid, code) -> count, seconds since the epoch
    xids: Mapping[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    containers: Sequence[ContainerUse] = ()
    #: user -> processor seconds, bytes
    people: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    collectors: Sequence[CollectorStatus] = ()
