"""Why a job waits, in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from labq.clock import rfc3339
from labq.job import Job
from labq.limits import DEFAULT_CPUS, resolve_cpus, resolve_memory
from labq.states import FINAL, JobState
from labq.units import about_bytes, about_duration
from labq_scheduler.decisions import Decisions
from labq_scheduler.policy.fit import could_hold
from labq_scheduler.policy.images import no_node
from labq_scheduler.policy.outside import outside_text
from labq_scheduler.policy.reserve import Reservation
from labq_scheduler.policy.room import EPSILON, Room
from labq_scheduler.snapshot import ClassKey, Snapshot


def why_waiting(key: ClassKey, job: Job, snapshot: Snapshot, decisions: Decisions) -> str:
    """Return why the first job of a class waits.

    Args:
        key: the class.
        job: its first job.
        snapshot: what the decision saw.
        decisions: what came of it.
    """
    if key in decisions.said:
        return decisions.said[key]
    could = [room for _, room in sorted(decisions.rooms.items()) if could_hold(job.spec, room.node)]
    if not could:
        return no_node(job, snapshot)
    free = [room for room in could if room.fit(job.spec) is not None]
    reservation = decisions.reservation
    if free and reservation is not None:
        when = about_duration(max(0.0, reservation.start - snapshot.now))
        return (
            f"job {reservation.job.id} comes first and is to start on {reservation.node} in about {when}; "
            f"starting this one on {free[0].node.name} now could delay it"
            + ("" if job.spec.time else " (a time limit, --time, might let it pass)")
        )
    if free:
        return "it is next to be considered"
    return f"it needs {needs(job)}; {_who_holds(job, could, snapshot)}{_turn(job, reservation)}"


def _turn(job: Job, reservation: Reservation | None) -> str:
    """Return a clause on whose turn it is."""
    if reservation is None:
        return ""
    if reservation.job.id == job.id:
        return f"; it is next, and what comes free on {reservation.node} is kept for it"
    return f"; job {reservation.job.id} is before it"


def needs(job: Job) -> str:
    """Return what the job asks for, in words."""
    spec = job.spec
    parts = []
    if spec.gpus.share:
        parts.append(f"{about_bytes(spec.gpus.share)} of a GPU")
    elif spec.gpus.count:
        kind = "" if str(spec.gpus).isdigit() else f" ({spec.gpus})"
        parts.append(f"{spec.gpus.count} GPU{'s' if spec.gpus.count > 1 else ''}{kind}")
    if spec.cpus is not None or not parts:
        parts.append(_cores(spec.cpus or DEFAULT_CPUS))
    if spec.memory is not None:
        parts.append(f"{about_bytes(spec.memory)} of memory")
    return " and ".join(parts)


def why_held(job: Job, snapshot_now: float, dependencies: Mapping[str, JobState | None]) -> str | None:
    """Return why a job may not start yet, whatever is free; None when nothing holds it back."""
    for dependency in job.spec.after:
        state = dependencies.get(dependency.job)
        enough = FINAL if dependency.any_end else {JobState.SUCCEEDED}
        if state not in enough:
            word = "end" if dependency.any_end else "succeed"
            return f"it waits for job {dependency.job} to {word} (now {state or 'unknown'})"
    if job.outputs_due is not None:
        node = next((run.node for run in job.attempts if run.number == job.outputs_due), "its node")
        return f"what attempt {job.outputs_due} left in /outputs is still on its way from {node}; it goes on with that"
    at = max(job.not_before, job.spec.not_before)
    if at > snapshot_now:
        if job.attempts:
            last = job.attempts[-1]
            return f"attempt {last.number} ended ({last.reason}); it is tried again at {rfc3339(at)}"
        return f"it is not to start before {rfc3339(at)}"
    return None


def _who_holds(job: Job, could: list[Room], snapshot: Snapshot) -> str:
    texts = []
    for room in could[:4]:
        holders = snapshot.holding.get(room.node.name, ())
        names = ", ".join(f"{other.owner}'s {other.id}" for other in holders[:3])
        more = f" and {len(holders) - 3} more" if len(holders) > 3 else ""
        held = f" (held by {names}{more})" if names else ""
        texts.append(f"{room.node.name} has {_lacks(job, room)}{held}{_outside(room, snapshot)}")
    rest = f"; and {len(could) - 4} more nodes" if len(could) > 4 else ""
    return "; ".join(texts) + rest


def _outside(room: Room, snapshot: Snapshot) -> str:
    """Return who uses GPUs of the node outside the queue; two of them are enough for a sentence."""
    used = snapshot.outside.get(room.node.name, {})
    gpus = [gpu for gpu in room.node.gpus if gpu.uuid in used]
    texts = [outside_text(gpu.slot, used[gpu.uuid], snapshot.now) for gpu in gpus[:2]]
    rest = f", and {len(gpus) - 2} more" if len(gpus) > 2 else ""
    return "".join(f", {text}" for text in texts) + rest


def _lacks(job: Job, room: Room) -> str:
    """Return what of the job's needs is free on a node that has too little of it."""
    parts = []
    cpus, memory = resolve_cpus(job.spec, room.node), resolve_memory(job.spec, room.node)
    if cpus > room.cpus + EPSILON:
        parts.append(f"{max(0.0, room.cpus):.3g} of the {_cores(cpus)} free that it gets there")
    if memory > room.memory:
        parts.append(f"{about_bytes(max(0, room.memory))} of {about_bytes(memory)} of memory free")
    if not parts or room.fit(replace(job.spec, cpus=0.01, memory=1)) is None:
        free = sum(1 for uuid in room.gpus if not room.sharers.get(uuid))
        parts.insert(0, f"{free} of {len(room.node.gpus)} GPUs free")
    return " and ".join(parts)


def _cores(number: float) -> str:
    return f"{number:g} core" if number == 1 else f"{number:g} cores"
