"""What is free where, kept from one decision to the next. Pure: it remembers, it never knows more than the snapshot.

A decision looks at each node only when the node, its jobs or its use outside the queue are not what they were, and asks
only then which shapes fit there. A ``Ground`` that was thrown away costs time and changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from labq.job import Job
from labq.node import Node
from labq_scheduler.policy.bound import arrival
from labq_scheduler.policy.ends import Ends
from labq_scheduler.policy.fit import constraints_hold
from labq_scheduler.policy.parts import most_of, part_of
from labq_scheduler.policy.room import Room, held_by
from labq_scheduler.policy.shape import Shape
from labq_scheduler.snapshot import Snapshot

#: Of one GPU, when it is counted who holds how much: so many that a thousand shares round by less than caps forgive.
PARTS = 1 << 40

#: Cores, bytes, and of each GPU the model, bytes and fault: where these are alike, the same shapes fit on an empty node.
Kind = tuple[float, int, tuple[tuple[str, int, str], ...]]


@dataclass(slots=True)
class Place:
    """A node that takes work, as it is now."""

    node: Node
    jobs: Sequence[Job]
    outside: frozenset[str]
    room: Room
    kind: Kind
    #: ids of the jobs for which jobs are being stopped here
    awaited: frozenset[str] = frozenset()


class Ground:
    """Rooms by node, and the nodes on which each shape fits. Not safe for threads."""

    def __init__(self) -> None:
        """Begin knowing nothing."""
        self.places: dict[str, Place] = {}
        self.ends = Ends()
        self._could: dict[Shape, frozenset[str]] = {}
        #: of shares only
        self._asked: dict[Shape, float] = {}
        self._fitting: dict[Shape, set[str]] = {}
        #: model -> cards on the nodes that take work
        self._cards: Counter[str] = Counter()
        #: person -> parts of GPUs held (``parts_of``)
        self._held: dict[str, int] = {}
        self._jobs: dict[str, int] = {}
        #: the same on nodes that take no work now: what runs there is held all the same
        self._held_elsewhere: dict[str, int] = {}
        self._jobs_elsewhere: dict[str, int] = {}

    def update(self, snapshot: Snapshot) -> None:
        """Look at what is not as it was."""
        seen: set[str] = set()
        #: nodes of which something changed, and those that are other machines now, or new, or gone
        touched: set[str] = set()
        others: set[str] = set()
        for node in snapshot.nodes:
            if not node.takes_work(snapshot.now):
                continue
            seen.add(node.name)
            jobs = snapshot.holding.get(node.name, ())
            outside = frozenset(snapshot.outside.get(node.name, ()))
            old = self.places.get(node.name)
            if old is not None and _is_same(old.node, node):
                if old.outside == outside and _are_same(old.jobs, jobs):
                    continue
            else:
                others.add(node.name)
            touched.add(node.name)
            self._put(Place(node, jobs, outside, _room(node, jobs, outside), _kind(node), _awaited(jobs)))
        for name in [name for name in self.places if name not in seen]:
            self._remove(name)
            touched.add(name)
            others.add(name)
        self._count_elsewhere(snapshot)
        self._learn(snapshot.queue.shapes, touched, others)
        places = self.places.values()
        self.ends.forget(
            sum(len(place.jobs) for place in places), (job for place in places for job in place.jobs)
        )

    def copy(self) -> Ground:
        """Return an independent copy: to think ahead from here."""
        other = Ground()
        other.places, other.ends = dict(self.places), self.ends.copy()
        other._could = dict(self._could)
        other._fitting = {shape: set(names) for shape, names in self._fitting.items()}
        other._cards = self._cards
        other._held, other._jobs = dict(self._held), dict(self._jobs)
        return other

    def cards(self) -> Mapping[str, int]:
        """Return how many cards of each model there are on the nodes that take work."""
        return self._cards

    def could(self, shape: Shape) -> frozenset[str]:
        """Return the nodes that could hold a shape if nothing else ran there."""
        return self._could[shape]

    def fitting(self, shape: Shape) -> set[str]:
        """Return the nodes on which a shape fits now; not to be changed."""
        return self._fitting[shape]

    def asked(self, shape: Shape) -> float:
        """Return how many GPUs a job of a shape will hold at most; a share counts as its part of the smallest card for it."""
        if not shape.gpus.share:
            return float(shape.gpus.count)
        if shape not in self._asked:
            cards = (gpu for name in self._could[shape] for gpu in self.places[name].node.gpus)
            self._asked[shape] = most_of(shape.gpus, cards)
        return self._asked[shape]

    def held(self) -> dict[str, float]:
        """Return who holds how many GPUs, on any node; a copy. A share counts as its part."""
        return {name: parts / PARTS for name, parts in _sum(self._held, self._held_elsewhere).items()}

    def running(self) -> dict[str, int]:
        """Return who has how many jobs that hold something; a copy."""
        return _sum(self._jobs, self._jobs_elsewhere)

    def awaited(self) -> dict[str, str]:
        """Return the jobs for which others are being stopped, and the node on which they are."""
        return {job: name for name, place in self.places.items() for job in place.awaited}

    def gpus(self) -> int:
        """Return the number of healthy GPUs of the nodes that take work."""
        return sum(len(place.room.gpus) + len(place.room.outside) for place in self.places.values())

    def _put(self, place: Place) -> None:
        name = place.node.name
        self._remove(name)
        self.places[name] = place
        self._count(place, 1)

    def _remove(self, name: str) -> None:
        place = self.places.pop(name, None)
        if place is not None:
            self._count(place, -1)

    def _count(self, place: Place, sign: int) -> None:
        for job in place.jobs:
            held = self._held.get(job.owner, 0) + sign * parts_of(job, place.room.sizes)
            self._held[job.owner] = held
            self._jobs[job.owner] = self._jobs.get(job.owner, 0) + sign
            if not self._jobs[job.owner]:
                del self._jobs[job.owner], self._held[job.owner]

    def _count_elsewhere(self, snapshot: Snapshot) -> None:
        self._held_elsewhere, self._jobs_elsewhere = {}, {}
        sizes: dict[str, int] | None = None
        for name, jobs in snapshot.holding.items():
            if name in self.places or not jobs:
                continue
            if sizes is None:
                sizes = {gpu.uuid: gpu.memory for node in snapshot.nodes for gpu in node.gpus}
            for job in jobs:
                held = self._held_elsewhere.get(job.owner, 0) + parts_of(job, sizes)
                self._held_elsewhere[job.owner] = held
                self._jobs_elsewhere[job.owner] = self._jobs_elsewhere.get(job.owner, 0) + 1

    def _learn(self, shapes: Sequence[Shape], touched: Set[str], others: Set[str]) -> None:
        """Find out where shapes fit: all where something changed, new ones everywhere."""
        if len(self._could) > 2 * len(shapes) + 64:
            wanted = set(shapes)
            self._could = {shape: names for shape, names in self._could.items() if shape in wanted}
            self._asked = {shape: gpus for shape, gpus in self._asked.items() if shape in wanted}
            self._fitting = {shape: names for shape, names in self._fitting.items() if shape in wanted}
        if others:
            self._asked.clear()
            self._cards = Counter(gpu.model for place in self.places.values() for gpu in place.node.gpus)
            here = others & self.places.keys()
            for shape, names in self._could.items():
                self._could[shape] = (names - others) | self._who_could(shape, here)
        for shape, fitting in self._fitting.items() if touched else ():
            fitting -= touched
            fitting |= self._who_fits(shape, touched & self._could[shape])
        for shape in shapes:
            if shape not in self._could:
                could = self._could[shape] = frozenset(self._who_could(shape, self.places.keys()))
                self._fitting[shape] = self._who_fits(shape, could)

    def _who_could(self, shape: Shape, names: Set[str]) -> set[str]:
        """Return which of these nodes could hold a shape if nothing else ran there."""
        # Disks differ from node to node and from hour to hour: they only count where they are asked for.
        known: dict[tuple[Kind, int | None], bool] = {}
        found = set()
        for name in names:
            place = self.places[name]
            if shape.nodes and not constraints_hold(shape, place.node):
                continue
            kind = place.kind, place.node.disk if shape.disk else None
            if kind not in known:
                known[kind] = Room.empty(place.node).fit(shape) is not None
            if known[kind]:
                found.add(name)
        return found

    def _who_fits(self, shape: Shape, names: Set[str]) -> set[str]:
        """Return which of these nodes have room for a shape now."""
        return {name for name in names if self.places[name].room.fits(shape) is not None}


def parts_of(job: Job, sizes: Mapping[str, int]) -> int:
    """Return how much of GPUs a job holds, in parts of one; ``sizes``: bytes of the cards by uuid.

    A whole number: what is added and taken away again leaves nothing behind, as fractions would.
    """
    return sum(round(PARTS * part_of(hold, sizes.get(hold.uuid, 0))) for hold in job.gpus)


def _awaited(jobs: Iterable[Job]) -> frozenset[str]:
    return frozenset(job.stop.for_job for job in jobs if job.stop is not None and job.stop.for_job)


def _kind(node: Node) -> Kind:
    return node.cpus, node.memory, tuple((gpu.model, gpu.memory, gpu.fault) for gpu in node.gpus)


def _room(node: Node, jobs: Iterable[Job], outside: frozenset[str]) -> Room:
    room = Room.empty(node)
    for job in sorted(jobs, key=arrival):  # a sum of fractions of cores depends on their order
        room.take(held_by(job))
    room.take_outside(outside)
    return room


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in (*one, *other)}


def _is_same(one: Node, other: Node) -> bool:
    return one is other or (
        one.gpus == other.gpus
        and one.cpus == other.cpus
        and one.memory == other.memory
        and one.disk == other.disk
        and one.labels == other.labels
        and one.near == other.near
    )


def _are_same(one: Sequence[Job], other: Sequence[Job]) -> bool:
    return one is other or (len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True)))
