"""What a node has free, and whether a job fits in it. Pure.

``Room`` is the one mutable thing of a decision: it starts as the node's capacity, and holds are taken
from it and given back. It never goes below zero: ``fit`` says None instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from labq.gpu_request import GpuRequest, model_matches
from labq.job import GpuHold, Job
from labq.limits import resolve_cpus, resolve_memory
from labq.node import Gpu, Node
from labq.spec import JobSpec

#: Cores below which a difference is rounding of decimal fractions.
EPSILON = 0.001


@dataclass(frozen=True, slots=True)
class Fit:
    """Concrete resources on one node."""

    gpus: tuple[GpuHold, ...]
    cpus: float
    memory: int


@dataclass(slots=True)
class Room:
    """Free resources of one node."""

    node: Node
    cpus: float
    memory: int
    #: bytes free on each healthy GPU; a GPU of which anything is held has less than its own memory
    gpus: dict[str, int] = field(default_factory=dict)
    #: how many jobs share a GPU
    sharers: dict[str, int] = field(default_factory=dict)
    #: what would be free on GPUs that somebody uses outside the queue; they are not among ``gpus``
    outside: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def empty(node: Node) -> Room:
        """Return the room of a node on which nothing runs."""
        return Room(
            node, node.cpus, node.memory, {gpu.uuid: gpu.memory for gpu in node.gpus if not gpu.fault}
        )

    def copy(self) -> Room:
        """Return an independent copy."""
        return Room(
            self.node, self.cpus, self.memory, dict(self.gpus), dict(self.sharers), dict(self.outside)
        )

    def take_outside(self, uuids: Iterable[str]) -> None:
        """Leave GPUs alone that are used outside the queue: nobody knows until when."""
        for uuid in uuids:
            if uuid in self.gpus:
                self.outside[uuid] = self.gpus.pop(uuid)

    def free_outside(self) -> None:
        """Suppose that all use outside the queue has ended."""
        self.gpus |= self.outside
        self.outside.clear()

    def take(self, fit: Fit) -> None:
        """Hold the resources of ``fit``."""
        self.cpus -= fit.cpus
        self.memory -= fit.memory
        for hold in fit.gpus:
            if (free := self._where(hold.uuid)) is not None:
                free[hold.uuid] -= hold.memory or self._size(hold.uuid)
                self.sharers[hold.uuid] = self.sharers.get(hold.uuid, 0) + 1

    def give_back(self, fit: Fit) -> None:
        """Free the resources of ``fit``."""
        self.cpus += fit.cpus
        self.memory += fit.memory
        for hold in fit.gpus:
            if (free := self._where(hold.uuid)) is not None:
                free[hold.uuid] += hold.memory or self._size(hold.uuid)
                self.sharers[hold.uuid] -= 1

    def fit(self, spec: JobSpec, avoid: frozenset[str] = frozenset()) -> Fit | None:
        """Return the resources that the job would take here now, or None.

        Args:
            spec: the job.
            avoid: uuids of GPUs that it must leave alone.
        """
        cpus, memory = resolve_cpus(spec, self.node), resolve_memory(spec, self.node)
        if cpus > self.cpus + EPSILON or memory > self.memory:
            return None
        holds = self._fit_gpus(spec.gpus, avoid)
        return None if holds is None else Fit(holds, cpus, memory)

    def _fit_gpus(self, request: GpuRequest, avoid: frozenset[str]) -> tuple[GpuHold, ...] | None:
        """Return GPUs: the preferred model, then the smallest card, then the fullest shared one, then the index."""
        if not request.count:
            return ()
        found: list[tuple[int, int, int, int, Gpu]] = []
        for gpu in self.node.gpus:
            free = self.gpus.get(gpu.uuid)
            if free is None or gpu.uuid in avoid or not request.accepts(gpu.model, gpu.memory):
                continue
            shared = self.sharers.get(gpu.uuid, 0)
            if request.share:
                if free < request.share:
                    continue
                rank = free if shared else free + 2**60
            elif shared:
                continue
            else:
                rank = 0
            found.append((preference(request, gpu.model), gpu.memory, rank, gpu.index, gpu))
        if len(found) < request.count:
            return None
        found.sort(key=lambda row: row[:4])
        if request.count > 1:
            found = _same_model_first(found, request.count)
        return tuple(GpuHold(row[4].uuid, request.share) for row in found[: request.count])

    def _where(self, uuid: str) -> dict[str, int] | None:
        return self.gpus if uuid in self.gpus else self.outside if uuid in self.outside else None

    def _size(self, uuid: str) -> int:
        return next(gpu.memory for gpu in self.node.gpus if gpu.uuid == uuid)


def held_by(job: Job) -> Fit:
    """Return what a holding job holds."""
    return Fit(job.gpus, job.cpus or 0.0, job.memory or 0)


def preference(request: GpuRequest, model: str) -> int:
    """Return the place of the card's model in the request's list of alternatives; 0 when it names none."""
    for place, wanted in enumerate(request.models):
        if model_matches(wanted, model):
            return place
    return 0


def _same_model_first(
    found: list[tuple[int, int, int, int, Gpu]], count: int
) -> list[tuple[int, int, int, int, Gpu]]:
    """Prefer ``count`` cards of one model: a job slows to the slowest of unlike cards."""
    models: dict[str, int] = {}
    for row in found:
        models[row[4].model] = models.get(row[4].model, 0) + 1
    for row in found:
        if models[row[4].model] >= count:
            return [other for other in found if other[4].model == row[4].model]
    return found
