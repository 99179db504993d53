"""decide(snapshot, rules) -> Decisions. Pure and deterministic; composes policy/, nothing else.

Order of the jobs that may start:
    1. the better priority class
    2. the earlier arrival (seq)
The first job that cannot start gets a reservation (policy/reserve.py); those behind it pass only where
that does not delay it. Placement of a job: policy/place.py.
"""

from __future__ import annotations

import heapq

from labq.ending import EndReason
from labq.job import Job
from labq.states import JobState
from labq_scheduler.decisions import Decisions, Prepare, Refuse, Start
from labq_scheduler.policy.images import image_step
from labq_scheduler.policy.place import place
from labq_scheduler.policy.reserve import Reservation, reserve
from labq_scheduler.policy.room import Room, held_by
from labq_scheduler.policy.why import why_blocked
from labq_scheduler.snapshot import ClassKey, Rules, Snapshot


def decide(snapshot: Snapshot, rules: Rules) -> Decisions:
    """Return what to do now. Every pending class that does not start gets a sentence in ``waits``."""
    refusals = _dependency_failures(snapshot)
    rooms = _rooms(snapshot)
    starts: list[Start] = []
    prepares: list[Prepare] = []
    waits: dict[ClassKey, str] = {}
    reservation: Reservation | None = None
    preparing = _preparing(snapshot)

    heads = [
        (key.rank, jobs[0].seq, jobs[0].index or 0, key, 0) for key, jobs in snapshot.pending.items() if jobs
    ]
    order = [(rank, seq, index, number) for number, (rank, seq, index, _, _) in enumerate(heads)]
    heapq.heapify(order)
    while order:
        rank, _, _, number = heapq.heappop(order)
        key, position = heads[number][3], heads[number][4]
        jobs = snapshot.pending[key]
        job = jobs[position]
        image = image_step(job, snapshot, rooms, preparing, rules)
        if image.refuse is not None:
            refusals += [Refuse(other, image.refuse[0], image.refuse[1]) for other in jobs[position:]]
            continue
        placed = place(job, rooms, image.ready, reservation, snapshot.now) if image.ready else None
        if image.prepare is not None and (placed is None or not image.spread):
            prepares.append(image.prepare)
            preparing.setdefault(image.prepare.node, set()).add(image.prepare.key)
        if placed is not None:
            node, fit, why = placed
            rooms[node].take(fit)
            if reservation is not None and reservation.node == node:
                reservation.started(fit, job.spec, snapshot.now)
            starts.append(Start(job, node, fit, why))
            if position + 1 < len(jobs):
                following = jobs[position + 1]
                heads[number] = (rank, following.seq, following.index or 0, key, position + 1)
                heapq.heappush(order, (rank, following.seq, following.index or 0, number))
            continue
        if not image.ready:
            waits[key] = image.wait
            continue
        waits[key] = why_blocked(job, snapshot, rooms, reservation)
        if reservation is None:
            candidates = [rooms[name] for name in sorted(rooms) if name in image.could]
            holding = {name: list(held) for name, held in snapshot.holding.items()}
            for start in starts:
                holding.setdefault(start.node, []).append(_as_held(start, snapshot.now))
            reservation = reserve(job, candidates, holding, snapshot.now)
    return Decisions(tuple(starts), tuple(prepares), tuple(refusals), waits, reservation)


def _rooms(snapshot: Snapshot) -> dict[str, Room]:
    rooms = {node.name: Room.empty(node) for node in snapshot.nodes if node.takes_work(snapshot.now)}
    for name, jobs in snapshot.holding.items():
        if name in rooms:
            for job in jobs:
                rooms[name].take(held_by(job))
    for name, gpus in snapshot.outside.items():
        if name in rooms:
            rooms[name].take_outside(gpus)
    return rooms


def _preparing(snapshot: Snapshot) -> dict[str, set[str]]:
    busy: dict[str, set[str]] = {}
    for key, image in snapshot.images.items():
        for node, said in image.nodes.items():
            if said.state == "preparing":
                busy.setdefault(node, set()).add(key)
    return busy


def _as_held(start: Start, now: float) -> Job:
    """Return the job of a start as it will hold the node, for the reservation's arithmetic."""
    from dataclasses import replace

    return replace(
        start.job, gpus=start.fit.gpus, cpus=start.fit.cpus, memory=start.fit.memory, started_at=now
    )


def _dependency_failures(snapshot: Snapshot) -> list[Refuse]:
    refusals = []
    for job in snapshot.held:
        for dependency in job.spec.after:
            state = snapshot.dependencies.get(dependency.job)
            # A key with None: Redis and the records were asked. Without a key they could not be.
            if state is None and dependency.job in snapshot.dependencies:
                text = (
                    f"Failed: nobody knows job {dependency.job} any more, which it waits for; "
                    "resubmit without it in --after."
                )
                refusals.append(Refuse(job, EndReason.DEPENDENCY_FAILED, text))
                break
            if not dependency.any_end and state in {JobState.FAILED, JobState.CANCELLED}:
                text = f"Failed: job {dependency.job}, which it waits for, {state}; resubmit with --after any:{dependency.job} to run anyway."
                refusals.append(Refuse(job, EndReason.DEPENDENCY_FAILED, text))
                break
    return refusals
