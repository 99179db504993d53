"""What a node has free, and whether a job fits in it. Pure.

``Room`` is the one mutable thing of a decision: it starts as the node's capacity, and holds are taken
from it and given back. It never goes below zero by that: ``fit`` says None instead. What fits is remembered by shape until
something is taken or given back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from labq.gpu_request import GpuRequest, model_matches
from labq.job import GpuHold, Job
from labq.limits import Asks, resolve_cpus, resolve_memory
from labq.node import Gpu, Node
from labq_scheduler.policy.near import nearest
from labq_scheduler.policy.shape import Shape

#: Cores below which a difference is rounding of decimal fractions.
EPSILON = 0.001
#: Added to what is free on a GPU that nobody shares yet: more bytes than any card has.
UNSHARED = 2**60
#: What ranks a GPU for a request: the place of its model, its bytes, how full it is, its index.
Row = tuple[int, int, int, int, Gpu]


@dataclass(frozen=True, slots=True)
class Fit:
    """Concrete resources on one node."""

    gpus: tuple[GpuHold, ...]
    cpus: float
    memory: int
    #: bytes; 0 = the job did not say
    disk: int = 0


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
    #: bytes of each card of the node; never changed
    sizes: dict[str, int] = field(default_factory=dict)
    #: bytes; below zero when the node's disk has shrunk under what is promised
    disk: int = 0
    #: healthy GPUs of which nothing is held; -1 = to be counted again
    _whole: int = -1
    _fits: dict[Shape, Fit | None] = field(default_factory=dict)
    #: the GPUs that a request gets, until something is taken or given back: many shapes ask for the same GPUs
    _picks: dict[GpuRequest, tuple[GpuHold, ...] | None] = field(default_factory=dict)

    @staticmethod
    def empty(node: Node) -> Room:
        """Return the room of a node on which nothing runs."""
        sizes = {gpu.uuid: gpu.memory for gpu in node.gpus}
        healthy = {gpu.uuid: gpu.memory for gpu in node.gpus if not gpu.fault}
        return Room(node, node.cpus, node.memory, healthy, sizes=sizes, disk=node.disk or 0)

    def copy(self) -> Room:
        """Return an independent copy."""
        return Room(
            self.node, self.cpus, self.memory, dict(self.gpus), dict(self.sharers), dict(self.outside), self.sizes,
            self.disk, self._whole,
        )  # fmt: skip

    @property
    def whole(self) -> int:
        """Return the number of healthy GPUs of which nothing is held."""
        if self._whole < 0:
            self._whole = sum(1 for uuid in self.gpus if not self.sharers.get(uuid))
        return self._whole

    def fits(self, shape: Shape) -> Fit | None:
        """Return :meth:`fit` of a shape, remembered."""
        try:
            return self._fits[shape]
        except KeyError:
            found = self._fits[shape] = self.fit(shape)
            return found

    def _changed(self) -> None:
        self._whole = -1
        if self._fits:
            self._fits, self._picks = {}, {}

    def take_outside(self, uuids: Iterable[str]) -> None:
        """Leave GPUs alone that are used outside the queue: nobody knows until when."""
        self._changed()
        for uuid in uuids:
            if uuid in self.gpus:
                self.outside[uuid] = self.gpus.pop(uuid)

    def free_outside(self) -> None:
        """Suppose that all use outside the queue has ended."""
        self._changed()
        self.gpus |= self.outside
        self.outside.clear()

    def take(self, fit: Fit) -> None:
        """Hold the resources of ``fit``."""
        self._changed()
        self.cpus -= fit.cpus
        self.memory -= fit.memory
        self.disk -= fit.disk
        for hold in fit.gpus:
            if (free := self._where(hold.uuid)) is not None:
                free[hold.uuid] -= hold.memory or self.sizes[hold.uuid]
                self.sharers[hold.uuid] = self.sharers.get(hold.uuid, 0) + 1

    def give_back(self, fit: Fit) -> None:
        """Free the resources of ``fit``."""
        self._changed()
        self.cpus += fit.cpus
        self.memory += fit.memory
        self.disk += fit.disk
        for hold in fit.gpus:
            if (free := self._where(hold.uuid)) is not None:
                free[hold.uuid] += hold.memory or self.sizes[hold.uuid]
                self.sharers[hold.uuid] -= 1

    def fit(self, spec: Asks, avoid: frozenset[str] = frozenset()) -> Fit | None:
        """Return the resources that the job would take here now, or None.

        Args:
            spec: the job.
            avoid: uuids of GPUs that it must leave alone.
        """
        request = spec.gpus
        if request.count > (len(self.gpus) if request.share else self.whole):
            return None
        cpus, memory = resolve_cpus(spec, self.node), resolve_memory(spec, self.node)
        if cpus > self.cpus + EPSILON or memory > self.memory:
            return None
        disk = spec.disk or 0
        if disk and disk > self.disk:
            return None
        holds = self._fit_gpus(request, avoid) if avoid else self._picked(request)
        return None if holds is None else Fit(holds, cpus, memory, disk)

    def _picked(self, request: GpuRequest) -> tuple[GpuHold, ...] | None:
        try:
            return self._picks[request]
        except KeyError:
            found = self._picks[request] = self._fit_gpus(request, frozenset())
            return found

    def _fit_gpus(self, request: GpuRequest, avoid: frozenset[str]) -> tuple[GpuHold, ...] | None:
        """Return GPUs: the preferred model, the smallest card, the fullest shared one, the nearest to each other.

        Then by their index. Where the driver does not tell what is near, by index at once.
        """
        if not request.count:
            return ()
        found: list[Row] = []
        for gpu in self.node.gpus:
            free = self.gpus.get(gpu.uuid)
            if free is None or gpu.uuid in avoid or not request.accepts(gpu.model, gpu.memory):
                continue
            shared = self.sharers.get(gpu.uuid, 0)
            if request.share:
                if free < request.share:
                    continue
                rank = free if shared else free + UNSHARED
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
        if self.node.near.groups and len(found) > request.count:
            uuids = self._nearest(found, request, avoid)
        else:
            uuids = tuple(row[4].uuid for row in found[: request.count])
        return tuple(GpuHold(uuid, request.share) for uuid in uuids)

    def _nearest(self, found: list[Row], request: GpuRequest, avoid: frozenset[str]) -> tuple[str, ...]:
        """Return the GPUs that are nearest to each other, of those that are as good in every other way."""
        edge = found[request.count - 1][:3]
        sure = [row[4].uuid for row in found[: request.count] if row[:3] < edge]
        pool = [row[4].uuid for row in found if row[:3] == edge]
        count = request.count - len(sure)
        if count == len(pool) or (request.share and edge[2] < UNSHARED):
            return (*sure, *pool[:count])
        seen = avoid.union(sure, pool)
        others = [uuid for uuid in self.gpus if uuid not in seen and not self.sharers.get(uuid)]
        return (*sure, *nearest(self.node.near, sure, pool, others, count))

    def _where(self, uuid: str) -> dict[str, int] | None:
        return self.gpus if uuid in self.gpus else self.outside if uuid in self.outside else None


def held_by(job: Job) -> Fit:
    """Return what a holding job holds."""
    return Fit(job.gpus, job.cpus or 0.0, job.memory or 0, job.disk or 0)


def preference(request: GpuRequest, model: str) -> int:
    """Return the place of the card's model in the request's list of alternatives; 0 when it names none."""
    for place, wanted in enumerate(request.models):
        if model_matches(wanted, model):
            return place
    return 0


def _same_model_first(found: list[Row], count: int) -> list[Row]:
    """Prefer ``count`` cards of one model: a job slows to the slowest of unlike cards."""
    models: dict[str, int] = {}
    for row in found:
        models[row[4].model] = models.get(row[4].model, 0) + 1
    for row in found:
        if models[row[4].model] >= count:
            return [other for other in found if other[4].model == row[4].model]
    return found
