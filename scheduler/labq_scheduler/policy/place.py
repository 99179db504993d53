"""Where a job goes. Pure.

Among the nodes that have its image and room for it now:
    1. the model that it prefers
    2. the smallest sufficient card: keep big cards for those who need them
    3. the fewest GPUs of the node: keep large nodes whole
    4. the least left free on the node: fill nodes up
    5. the fewest free cores, for jobs without GPUs
    6. the name, so that the result is deterministic
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from labq.job import Job
from labq_scheduler.policy.reserve import Reservation
from labq_scheduler.policy.room import Fit, Room, preference


def place(
    job: Job,
    rooms: Mapping[str, Room],
    ready: Collection[str],
    reservation: Reservation | None,
    now: float,
) -> tuple[str, Fit, str] | None:
    """Return node, resources and why there, or None when it cannot start now.

    Args:
        job: the job.
        rooms: free resources by node name.
        ready: names of nodes that have its image and may hold it.
        reservation: what must not be delayed.
        now: seconds since the epoch.
    """
    best: tuple[tuple[float | str, ...], str, Fit] | None = None
    for name in ready:
        room = rooms[name]
        fit = room.fit(job.spec) if reservation is None else reservation.allows(room, job.spec, now)
        if fit is None:
            continue
        rank = _rank(job, room, fit)
        if best is None or rank < best[0]:
            best = (rank, name, fit)
    if best is None:
        return None
    passed = f", passing job {reservation.job.id} without delaying it" if reservation is not None else ""
    return best[1], best[2], f"{best[1]} has room for it{passed}"


def _rank(job: Job, room: Room, fit: Fit) -> tuple[float | str, ...]:
    taken = {hold.uuid for hold in fit.gpus}
    cards = [gpu for gpu in room.node.gpus if gpu.uuid in taken]
    prefers = max((preference(job.spec.gpus, gpu.model) for gpu in cards), default=0)
    largest = max((gpu.memory for gpu in cards), default=0)
    left = sum(1 for uuid in room.gpus if uuid not in taken and not room.sharers.get(uuid))
    # a job without GPUs goes where few GPUs are: cores beside free GPUs are for GPU jobs
    size = len(room.node.gpus)
    return prefers, largest, size, left, room.cpus - fit.cpus, room.node.name
