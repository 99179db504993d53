"""What a person could ask for instead, so that the job starts sooner. Pure.

Cheaper variants of the request are tried one by one against the present: fewer GPUs, any model, less memory, other nodes,
a time limit, a share of a GPU. Told are those that start now or in half the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from labq.gpu_request import GpuRequest
from labq.job import Job
from labq.spec import JobSpec
from labq.spec_values import LEAST_DISK
from labq.units import about_bytes, format_bytes, format_duration
from labq_scheduler.decide import decide
from labq_scheduler.forecast.ahead import Now
from labq_scheduler.forecast.line import with_jobs, without
from labq_scheduler.forecast.outlook import Outlook, forecast
from labq_scheduler.policy.fit import constraints_hold
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.room import Room
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.shape import shape_of
from labq_scheduler.snapshot import Snapshot

#: Variants that are told, and futures that are thought through for each.
TOLD, FUTURES = 3, 3
#: The part of the wait in which a variant must start to be worth telling.
SOONER = 0.5
#: Seconds of a shorter wait than which nothing is sooner enough.
SHORT = 120.0
#: Time limits that are tried, the longest first, in seconds: those that people give.
LIMITS = (86400.0, 12 * 3600.0, 4 * 3600.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Variant:
    """Another request."""

    spec: JobSpec
    #: what it asks for, in words
    text: str
    #: the flag of ``labq submit``
    flag: str


@dataclass(frozen=True, slots=True)
class Sooner:
    """A request that starts sooner."""

    text: str
    flag: str
    #: seconds since the epoch; None = now
    start: float | None
    node: str


def variants(spec: JobSpec, rooms: dict[str, Room]) -> Iterator[Variant]:
    """Yield cheaper requests, each of which differs in one thing.

    Args:
        spec: what is asked for.
        rooms: nodes that take work.
    """
    gpus = spec.gpus
    if gpus.count > 1:
        for count in sorted({gpus.count // 2, 1}, reverse=True):
            yield _gpus(spec, replace(gpus, count=count))
    if gpus.models:
        yield _gpus(spec, replace(gpus, models=()))
        if gpus.count > 1:
            yield _gpus(spec, replace(gpus, models=(), count=1))
    if gpus.min_memory or gpus.models:
        sizes = sorted({size for room in rooms.values() for size in room.sizes.values()})
        smaller = [size for size in sizes if size < gpus.min_memory]
        if smaller:
            yield _gpus(spec, replace(gpus, min_memory=smaller[-1]))
    if spec.nodes:
        yield Variant(replace(spec, nodes=()), "any node", "no --node")
    for limit in LIMITS:
        if spec.time is None or limit < spec.time:
            text = format_duration(limit)
            yield Variant(replace(spec, time=limit), f"a time limit of {text}", f"--time {text}")
    if gpus.count == 1 and not gpus.share:
        largest = max((size for room in rooms.values() for size in room.sizes.values()), default=0)
        if half := max(gpus.min_memory, largest // 2):
            yield _gpus(spec, GpuRequest(1, gpus.models, 0, half // 2**30 * 2**30 or half))
    if spec.cpus is not None and spec.cpus > 1:
        yield Variant(
            replace(spec, cpus=spec.cpus / 2), f"{spec.cpus / 2:g} cores", f"--cpus {spec.cpus / 2:g}"
        )
    if spec.memory is not None:
        half = spec.memory // 2
        yield Variant(
            replace(spec, memory=half), f"{about_bytes(half)} of memory", f"--memory {about_bytes(half)}"
        )
    if spec.disk is not None and (half := spec.disk // 2) >= LEAST_DISK:
        yield Variant(
            replace(spec, disk=half), f"{about_bytes(half)} of disk", f"--disk {format_bytes(half)}"
        )


def sooner(
    job: Job,
    outlook: Outlook | None,
    snapshot: Snapshot,
    rules: Rules,
    rooms: dict[str, Room],
    go_on: Callable[[], bool] = lambda: True,
    ground: Ground | None = None,
) -> list[Sooner]:
    """Return at most ``TOLD`` requests that start now, or in half the time.

    Args:
        job: it waits, or would.
        outlook: of the job as it is; None = not known: then only what starts now is told.
        snapshot: the lab; the job may be in it or not.
        rules: the site's.
        rooms: nodes that take work, as a decision left them.
        go_on: asked before each decision.
        ground: what was found out of the snapshot before; it is changed. It saves time.
    """
    now = snapshot.now
    least = now + SHORT if outlook is None or outlook.likely is None else outlook.likely
    if least - now < SHORT:
        return []
    bare = replace(snapshot, queue=without(snapshot.queue, job))
    ground = Ground() if ground is None else ground
    ground.update(bare)
    could = {name: room for name, room in rooms.items() if room.node.takes_work(now)}
    told: list[Sooner] = []
    waits: list[tuple[Variant, Snapshot]] = []
    places = _places(job.spec, could)
    for variant in variants(job.spec, could):
        if not go_on() or len(told) == TOLD:
            break
        if _is_as_much(variant.spec, job.spec) and _places(variant.spec, could) == places:
            continue  # it could run nowhere else: that it seems to start sooner is chance
        changed = replace(job, spec=variant.spec)
        shape = shape_of(variant.spec)
        with_it = replace(bare, queue=with_jobs(bare.queue, [changed], bare.runtimes))
        if any(room.fits(shape) is not None for room in could.values()):
            node = _starts_now(changed, with_it, rules, ground.copy())
            if node is not None and not _is_worse(variant, told):
                told.append(Sooner(variant.text, variant.flag, None, node))
                continue
        waits.append((variant, with_it))
    if outlook is None or outlook.likely is None:
        return told
    for variant, with_it in waits:
        if not go_on() or len(told) == TOLD:
            break
        horizon = SOONER * (outlook.likely - now)
        found = forecast(
            Now.of(with_it, rules, ground.copy()), [job.id], futures=FUTURES, horizon=horizon, go_on=go_on
        ).of(job.id)
        if found is None or found.likely is None or found.likely - now > horizon:
            continue
        if not _is_worse(variant, told):
            told.append(Sooner(variant.text, variant.flag, found.likely, found.node))
    return told


def _is_as_much(spec: JobSpec, asked: JobSpec) -> bool:
    """Return whether it asks for the same amounts, perhaps of other cards or on other nodes."""
    gpus = replace(asked.gpus, models=spec.gpus.models, min_memory=spec.gpus.min_memory)
    return replace(asked, gpus=gpus, nodes=spec.nodes) == spec


def _places(spec: JobSpec, rooms: dict[str, Room]) -> dict[str, frozenset[str]]:
    """Return the cards of each node that could ever hold it."""
    found = {}
    for name, room in rooms.items():
        cards = frozenset(gpu.uuid for gpu in room.node.gpus if spec.gpus.accepts(gpu.model, gpu.memory))
        if len(cards) >= spec.gpus.count and constraints_hold(spec, room.node):
            found[name] = cards
    return found


def _starts_now(job: Job, snapshot: Snapshot, rules: Rules, ground: Ground) -> str | None:
    for start in decide(snapshot, rules, ground).starts:
        if start.job.id == job.id:
            return start.node
    return None


def _is_worse(variant: Variant, told: list[Sooner]) -> bool:
    """Return whether a shorter limit is of no use, for a longer one was told already."""
    word = variant.flag.partition(" ")[0]
    return word == "--time" and any(other.flag.startswith("--time") for other in told)


def _gpus(spec: JobSpec, request: GpuRequest) -> Variant:
    kind = [*(["|".join(request.models)] if request.models else [])]
    if request.share:
        return Variant(
            replace(spec, gpus=request),
            f"{about_bytes(request.share)} of a shared GPU",
            f"--gpus '{request}'",
        )
    if request.min_memory:
        kind.append(f"{about_bytes(request.min_memory)} or more")
    text = f"{request.count} × {', '.join(kind) or 'any GPU'}"
    return Variant(replace(spec, gpus=request), text, f"--gpus '{request}'")
