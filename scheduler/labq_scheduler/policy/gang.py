"""Jobs that are larger than any node: simulations only, where a trace has them. Pure.

labq refuses such jobs when they are submitted. A replay of a trace that has them (philly-lab: up to 32 GPUs on nodes of 4)
spreads one over whole nodes of the largest size and, for what remains, one more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from labq_scheduler.policy.reserve import Earliest, Release
from labq_scheduler.policy.room import Fit, Room
from labq_scheduler.policy.shape import Shape


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
