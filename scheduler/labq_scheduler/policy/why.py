"""Why a job waits, in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from labq.clock import rfc3339
from labq.job import Job
from labq.states import FINAL, JobState
from labq.units import about_bytes, about_duration
from labq_scheduler.policy.fit import could_hold
from labq_scheduler.policy.reserve import Reservation
from labq_scheduler.policy.room import Room
from labq_scheduler.snapshot import Snapshot


def why_blocked(
    job: Job, snapshot: Snapshot, rooms: Mapping[str, Room], reservation: Reservation | None
) -> str:
    """Return why a job whose image is ready cannot start now."""
    could = [room for _, room in sorted(rooms.items()) if could_hold(job.spec, room.node)]
    free = [room for room in could if room.fit(job.spec) is not None]
    if free and reservation is not None:
        when = about_duration(max(0.0, reservation.start - snapshot.now))
        return (
            f"job {reservation.job.id} comes first and is to start on {reservation.node} in about {when}; "
            f"starting this one on {free[0].node.name} now could delay it"
            + ("" if job.spec.time else " (a time limit, --time, might let it pass)")
        )
    return f"it needs {needs(job)}; {_who_holds(job, could, snapshot)}"


def needs(job: Job) -> str:
    """Return what the job asks for, in words."""
    spec = job.spec
    parts = []
    if spec.gpus.share:
        parts.append(f"{about_bytes(spec.gpus.share)} of a GPU")
    elif spec.gpus.count:
        parts.append(f"{spec.gpus.count} GPU{'s' if spec.gpus.count > 1 else ''} ({spec.gpus})")
    if spec.cpus is not None or not parts:
        parts.append(f"{spec.cpus or 1:g} cores")
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
        with_gpu = [other for other in holders if other.gpus] if job.spec.gpus.count else list(holders)
        names = ", ".join(f"{other.owner}'s {other.id}" for other in with_gpu[:3])
        more = f" and {len(with_gpu) - 3} more" if len(with_gpu) > 3 else ""
        free = sum(1 for uuid in room.gpus if not room.sharers.get(uuid))
        gpus = (
            f", {free} of {len(room.node.gpus)} GPUs free"
            if job.spec.gpus.count
            else f", {max(0.0, room.cpus):g} cores free"
        )
        texts.append(
            f"{room.node.name} is held by {names}{more}{gpus}"
            if names
            else f"{room.node.name} has too little left{gpus}"
        )
    rest = f"; and {len(could) - 4} more nodes" if len(could) > 4 else ""
    return "; ".join(texts) + rest
