"""Where a job goes. Pure.

Among the nodes that have its image and room for it now:
    1. the model that it prefers
    2. the smallest sufficient card, about: keep big cards for those who need them
    3. the model of which there are most: keep rare cards for those who insist on them
    4. the fewest GPUs of the node: keep large nodes whole; then the smallest card to the byte
    5. several GPUs that are near each other, where drivers tell (policy/near.py)
    6. the least left free on the node: fill nodes up
    7. the fewest GPUs that are near each other torn apart
    8. the fewest free cores, for jobs without GPUs
    9. the name, so that the result is deterministic
Which GPUs of a node it would be, and how near these are: ``Room.fit``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log2

from labq.neighbours import in_words
from labq_scheduler.policy.near import together, torn
from labq_scheduler.policy.reserve import Reservation
from labq_scheduler.policy.room import Fit, Room, preference
from labq_scheduler.policy.shape import Shape

#: Cards are of one size that differ by less than half a step on a scale with so many steps for each doubling of their
#: memory: what is sold as 16 GB has 15 to 16 GiB, 24 GB and 32 GB are told apart.
STEPS = 4.0


def place(
    shape: Shape,
    rooms: Mapping[str, Room],
    names: Iterable[str],
    reservation: Reservation | None,
    finish: float,
    cards: Mapping[str, int],
) -> tuple[str, Fit, str] | None:
    """Return node, resources and why there, or None when it cannot start now.

    Args:
        shape: what is to fit.
        rooms: free resources by node name.
        names: nodes that have the job's image and room for the shape.
        reservation: what must not be delayed.
        finish: when the job will have ended: seconds since the epoch.
        cards: how many there are of each model.
    """
    best: tuple[tuple[float | str, ...], str, Fit] | None = None
    for name in names:
        room = rooms[name]
        fit = room.fits(shape) if reservation is None else reservation.allows(room, shape, finish)
        if fit is None:
            continue
        rank = _rank(shape, room, fit, cards)
        if best is None or rank < best[0]:
            best = (rank, name, fit)
    if best is None:
        return None
    passed = f", passing job {reservation.job.id} without delaying it" if reservation is not None else ""
    return best[1], best[2], f"{best[1]} has room for it{_how_near(rooms[best[1]], best[2])}{passed}"


def _rank(shape: Shape, room: Room, fit: Fit, cards: Mapping[str, int]) -> tuple[float | str, ...]:
    prefers = about = largest = common = untouched = apart = broken = 0
    if fit.gpus:
        taken = frozenset(hold.uuid for hold in fit.gpus)
        largest = max(room.sizes[uuid] for uuid in taken)
        about = round(STEPS * log2(max(1, largest)))
        whole = [uuid for uuid in taken if not room.sharers.get(uuid)]
        untouched = len(whole)
        models = {gpu.model for gpu in room.node.gpus if gpu.uuid in taken}
        common = min(cards[model] for model in models)
        if shape.gpus.models:
            prefers = max(preference(shape.gpus, model) for model in models)
        near = room.node.near
        if near.groups:
            apart = -together(near, tuple(hold.uuid for hold in fit.gpus))
            if whole:
                left = frozenset(
                    uuid for uuid in room.gpus if uuid not in taken and not room.sharers.get(uuid)
                )
                broken = torn(near, taken, left)
    # a job without GPUs goes where few GPUs are: cores beside free GPUs are for GPU jobs
    size = len(room.node.gpus)
    left_free = room.whole - untouched
    return (
        prefers,
        about,
        -common,
        size,
        largest,
        apart,
        left_free,
        broken,
        room.cpus - fit.cpus,
        room.node.name,
    )


def _how_near(room: Room, fit: Fit) -> str:
    """Return a clause on GPUs that are near each other."""
    words = in_words(together(room.node.near, tuple(hold.uuid for hold in fit.gpus)))
    return f", on {len(fit.gpus)} GPUs {words}" if words else ""
