"""Jobs that are larger than any node: simulations only, where a trace has them. Pure.

labq refuses such jobs when they are submitted. A replay of a trace that has them (philly-lab: up to 32 GPUs on nodes of 4)
spreads one over whole nodes of the largest size and, for what remains, one more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from labq_scheduler.policy.openings import Openings
from labq_scheduler.policy.reserve import Earliest, Release, Reservation
from labq_scheduler.policy.room import Fit, Room
from labq_scheduler.policy.shape import Shape


class GangOpenings(Openings):
    """Openings in which a job that no node could hold fits on several: on any nodes, as far as one can tell beforehand."""

    def could(self, shape: Shape) -> frozenset[str]:
        """Return the nodes that could hold a shape, or a part of it."""
        return super().could(shape) or frozenset(self.rooms)

    def fitting(self, shape: Shape) -> Set[str]:
        """Return the nodes on which a shape fits now, or a part of it might."""
        return self.rooms.keys() if self._is_gang(shape) else super().fitting(shape)

    def fits_beside(self, shape: Shape, reserved: Reservation) -> bool:
        """Return whether a job of any length may start somewhere without delaying the reservation, or might."""
        return self._is_gang(shape) or super().fits_beside(shape, reserved)

    def place(
        self, shape: Shape, names: Set[str], reservation: Reservation | None, finish: float
    ) -> tuple[Mapping[str, Fit], str] | None:
        """Return what a job gets by node, and why there; None when it cannot start now."""
        if not self._is_gang(shape):
            return super().place(shape, names, reservation, finish)
        rooms = self.rooms
        if reservation is not None and finish > reservation.start:  # what is free now and left over then
            spare = reservation.spare
            rooms = {
                name: spare[name] if name in spare and spare[name].whole < room.whole else room
                for name, room in rooms.items()
            }
        parts = place_gang(shape, rooms)
        return None if parts is None else (parts, "whole nodes are free")

    def plan(
        self,
        shape: Shape,
        names: Sequence[str],
        given: Mapping[str, Sequence[Release]],
        now: float,
        hard: bool,
    ) -> dict[str, Earliest] | None:
        """Return when and where a shape fits at the earliest."""
        if not self._is_gang(shape):
            return super().plan(shape, names, given, now, hard)
        return earliest_gang(shape, {name: self.rooms[name] for name in names}, given, now)

    def _is_gang(self, shape: Shape) -> bool:
        return not super().could(shape)


def place_gang(shape: Shape, rooms: Mapping[str, Room]) -> dict[str, Fit] | None:
    """Return the parts of a job by node, or None when it does not fit now."""
    size = max((len(room.node.gpus) for room in rooms.values()), default=0)
    count = shape.gpus.count
    if count <= size or not size:
        return None
    parts: dict[str, Fit] = {}
    per = replace(shape, gpus=replace(shape.gpus, count=size))
    for name in sorted(rooms):
        if len(parts) == count // size:
            break
        fit = rooms[name].fits(per) if rooms[name].whole == size else None
        if fit is not None:
            parts[name] = fit
    if len(parts) < count // size:
        return None
    if rest := count % size:
        remainder = replace(shape, gpus=replace(shape.gpus, count=rest))
        free = [
            (rooms[name].whole, name) for name in rooms if name not in parts and rooms[name].fits(remainder)
        ]
        if not free:
            return None
        name = min(free)[1]
        fit = rooms[name].fits(remainder)
        assert fit is not None  # noqa: S101 # it was found a line before
        parts[name] = fit
    return parts


def earliest_gang(
    shape: Shape, rooms: Mapping[str, Room], releases: Mapping[str, Sequence[Release]], now: float
) -> dict[str, Earliest] | None:
    """Return when and where a job fits at the earliest, or None when it never does."""
    future = {name: room.copy() for name, room in rooms.items()}
    line = sorted(
        (
            (release.at, release.arrival, name, release.fit)
            for name, rows in releases.items()
            for release in rows
        ),
        key=lambda row: row[:3],
    )
    parts, start, place = place_gang(shape, future), now, 0
    while parts is None and place < len(line):
        start = line[place][0]
        while place < len(line) and line[place][0] <= start:
            future[line[place][2]].give_back(line[place][3])
            place += 1
        parts = place_gang(shape, future)
    if parts is None:
        return None
    for name, fit in parts.items():
        future[name].take(fit)
    return {name: Earliest(max(now, start), fit, future[name], False) for name, fit in parts.items()}
