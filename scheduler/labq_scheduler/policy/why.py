"""Why a job waits, in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from labq.clock import rfc3339
from labq.ending import RULES
from labq.ids import sort_key
from labq.job import Job
from labq.limits import DEFAULT_CPUS, resolve_cpus, resolve_memory
from labq.spec import JobSpec
from labq.states import FINAL, JobState
from labq.units import about_bytes, about_duration
from labq_scheduler.decisions import Decisions
from labq_scheduler.policy.fit import could_hold
from labq_scheduler.policy.images import no_node
from labq_scheduler.policy.outside import outside_text
from labq_scheduler.policy.reserve import Reservation
from labq_scheduler.policy.room import EPSILON, Room
from labq_scheduler.snapshot import ClassKey, Snapshot


def why_waiting(
    key: ClassKey, job: Job, snapshot: Snapshot, decisions: Decisions, could: Collection[str] | None = None
) -> str:
    """Return why the first job of a class waits.

    Args:
        key: the class.
        job: its first job.
        snapshot: what the decision saw.
        decisions: what came of it.
        could: nodes that take work and could hold it if nothing else ran there; None = they are looked for.
    """
    if key in decisions.said:
        return decisions.said[key]
    if could is None:
        could = [name for name, room in decisions.rooms.items() if could_hold(key.shape, room.node)]
    if not could:
        return no_node(job, snapshot)
    rooms = [decisions.rooms[name] for name in sorted(could)]
    free = [room for room in rooms if room.fits(key.shape) is not None]
    reservation = decisions.reservation
    if free and reservation is not None:
        wait = max(0.0, reservation.start - snapshot.now)
        when = about_duration(wait)
        limit = job.spec.time
        # A site maximum is everybody's limit, so having one does not mean that a person thought of it.
        hint = (
            ""
            if limit is not None and limit <= wait
            else f" ({'a' if limit is None else 'a shorter'} time limit, --time, might let it pass)"
        )
        return (
            f"job {reservation.job.id} comes first and is to start on {reservation.node} in about {when}; "
            f"starting this one on {free[0].node.name} now could delay it" + hint
        )
    if free:
        return "it is next to be considered"
    return f"it needs {needs(job)}; {_who_holds(job, rooms, snapshot)}{_turn(job, reservation)}"


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
    if spec.disk is not None:
        parts.append(f"{about_bytes(spec.disk)} of disk")
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


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
            return (
                f"attempt {last.number} ended ({RULES[last.reason].text}); it is tried again at {rfc3339(at)}"
            )
        return f"it is not to start before {rfc3339(at)}"
    return None


def let_go(held: Iterable[Job], now: float, dependencies: Mapping[str, JobState | None]) -> list[Job]:
    """Return the held jobs that nothing but room holds back any more.

    It is asked before every decision; tasks of an array have one spec and wait for the same, so of 10,000 one is looked at.
    """
    known: dict[tuple[int, float, int | None], bool] = {}
    found = []
    for job in held:
        key = id(job.spec), job.not_before, job.outputs_due
        free = known.get(key)
        if free is None:
            free = known[key] = why_held(job, now, dependencies) is None
        if free:
            found.append(job)
    return found


def _who_holds(job: Job, could: list[Room], snapshot: Snapshot) -> str:
    texts = []
    for room in could[:4]:
        holders = snapshot.holding.get(room.node.name, ())
        first: dict[str, list[str]] = {}
        for other in sorted(holders, key=lambda other: sort_key(other.id))[:3]:
            first.setdefault(other.owner, []).append(other.id)
        names = ", ".join(f"{owner}'s {', '.join(ids)}" for owner, ids in first.items())
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
    """Return what of the job's needs is free on a node that has too little of it.

    What a job gets with its GPUs and did not ask for comes free with them: it is told only where they would suffice.
    """
    spec, parts = job.spec, []
    few = room.fit(replace(spec, cpus=0.0, memory=0, disk=None)) is None
    if few:
        parts.append(_free_gpus(spec, room))
    cpus, memory = resolve_cpus(spec, room.node), resolve_memory(spec, room.node)
    if cpus > room.cpus + EPSILON and (spec.cpus is not None or not few):
        gets = "" if spec.cpus is not None else f" of the {cpus:.3g} that it gets there"
        parts.append(f"{_cores(max(0.0, room.cpus))} free{gets}")
    if memory > room.memory and (spec.memory is not None or not few):
        gets = "" if spec.memory is not None else f" of the {about_bytes(memory)} that it gets there"
        parts.append(f"{about_bytes(max(0, room.memory))} of memory free{gets}")
    if spec.disk and spec.disk > room.disk:
        parts.append(f"{about_bytes(max(0, room.disk))} of disk free")
    return " and ".join(parts)


def _free_gpus(spec: JobSpec, room: Room) -> str:
    """Return what is free of the cards that the job could use."""
    cards = [gpu.uuid for gpu in room.node.gpus if spec.gpus.accepts(gpu.model, gpu.memory)]
    if spec.gpus.share:
        most = max((room.gpus.get(uuid, 0) for uuid in cards), default=0)
        return f"at most {about_bytes(most)} of a GPU free" if most else "no memory of a GPU free"
    free = sum(1 for uuid in cards if uuid in room.gpus and not room.sharers.get(uuid))
    such = "such " if len(cards) < len(room.node.gpus) else ""
    return f"{free} of {len(cards)} {such}GPUs free"


def _cores(number: float) -> str:
    return f"{number:.3g} core" if number == 1 else f"{number:.3g} cores"
