"""What a job asks of a machine: the part of its spec that decides where it fits. Pure.

Jobs of one shape fit on just the same nodes, whoever owns them: what was found out for one holds for all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log2

from labq.gpu_request import GpuRequest
from labq.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Shape:
    """GPUs, cores, memory, disk and constraints. Its hash is kept: a decision looks shapes up thousands of times."""

    gpus: GpuRequest
    cpus: float | None = None
    memory: int | None = None
    nodes: tuple[str, ...] = ()
    disk: int | None = None
    _hash: int = field(default=0, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.gpus, self.cpus, self.memory, self.nodes, self.disk)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Shape], tuple[object, ...]]:
        """Say how another process makes it anew: texts have other hashes there."""
        return Shape, (self.gpus, self.cpus, self.memory, self.nodes, self.disk)

    @property
    def doublings(self) -> float:
        """Return how often one GPU must be doubled to have so many; 0 for one or none."""
        return log2(max(1, self.gpus.count))


def shape_of(spec: JobSpec) -> Shape:
    """Return the shape of a spec."""
    return Shape(spec.gpus, spec.cpus, spec.memory, spec.nodes, spec.disk)
