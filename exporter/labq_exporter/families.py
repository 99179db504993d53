"""A snapshot -> rows (name, label values, value), by group. Pure; names and labels are those of table.py.

None is never published: what the driver cannot say has no series. Nothing of a stale GPU is published but that it
is not up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from labq import __version__
from labq.holding.facts import Source
from labq.holding.reading import GpuReading, GpuState, Holder
from labq.holding.samples import GpuHealth, GpuSample
from labq_exporter.snapshot import Snapshot

Row = tuple[str, tuple[str, ...], float]

#: Values of labq_gpu_state.
STATES = {GpuState.FREE: 0, GpuState.RESERVED: 1, GpuState.HELD: 2, GpuState.BUSY: 3, GpuState.LOST: 4}
#: Series that come and go with what people start; more are dropped and counted.
MAX_CONTAINERS, MAX_HOLDERS = 200, 256
DROPPED = "labq_exporter_series_dropped"


def gpus(snapshot: Snapshot) -> Iterator[Row]:
    """Yield what each GPU is and does."""
    yield "labq_node_gpus_expected", (), snapshot.expected
    for seen in snapshot.gpus:
        gpu, watched = seen.gpu, seen.watched
        mine = (gpu.slot, gpu.uuid)
        minor = "" if watched.minor is None else str(watched.minor)
        mig = "" if gpu.instance is None else str(gpu.instance)
        yield "labq_gpu_info", (*mine, gpu.model, watched.pci_bus_id, minor, mig), 1
        sample = watched.sample
        yield "labq_gpu_up", mine, float(seen.fresh and sample is not None and not sample.error)
        yield "labq_gpu_memory_total_bytes", mine, gpu.memory
        if not seen.fresh or sample is None:
            continue
        yield "labq_gpu_state", mine, STATES[seen.state]
        yield from _some(mine, _of_sample(seen, sample))
        if watched.health is not None and not sample.error:
            yield from _health(mine, watched.health)


def _of_sample(seen: GpuReading, sample: GpuSample) -> Iterable[tuple[str, float | None]]:
    return (
        ("labq_gpu_memory_used_bytes", sample.memory_used),
        ("labq_gpu_memory_unattributed_bytes", seen.unattributed),
        ("labq_gpu_utilization_ratio", sample.utilization),
        ("labq_gpu_temperature_celsius", sample.temperature),
        ("labq_gpu_power_watts", sample.power),
    )


def _health(mine: tuple[str, str], health: GpuHealth) -> Iterator[Row]:
    yield from _some(
        mine,
        (
            ("labq_gpu_temperature_slowdown_celsius", health.temperature_slowdown),
            ("labq_gpu_power_limit_watts", health.power_limit),
            ("labq_gpu_energy_joules_total", health.energy),
            ("labq_gpu_row_remap_pending", health.remap_pending),
            ("labq_gpu_row_remap_failed", health.remap_failed),
        ),
    )
    for kind, count in (("corrected", health.ecc_corrected), ("uncorrected", health.ecc_uncorrected)):
        if count is not None:
            yield "labq_gpu_ecc_errors_total", (*mine, kind), count
    for reason, throttled in health.throttled.items():
        yield "labq_gpu_throttled", (*mine, reason), float(throttled)


def _some(mine: tuple[str, str], rows: Iterable[tuple[str, float | None]]) -> Iterator[Row]:
    for name, value in rows:
        if value is not None:
            yield name, mine, float(value)


def counters(snapshot: Snapshot) -> Iterator[Row]:
    """Yield what was counted; also of GPUs and people that are not there now."""
    slots = snapshot.slots
    for (uuid, state), seconds in snapshot.states.items():
        yield "labq_gpu_state_seconds_total", (slots.get(uuid, ""), uuid, state), seconds
    for uuid, seconds in snapshot.used.items():
        yield "labq_gpu_busy_seconds_total", (slots.get(uuid, ""), uuid), seconds
    for (uuid, user, scope), (held, busy) in snapshot.users.items():
        labels = (slots.get(uuid, ""), uuid, user, scope)
        yield "labq_gpu_user_held_seconds_total", labels, held
        yield "labq_gpu_user_busy_seconds_total", labels, busy
        yield "labq_gpu_user_idle_held_seconds_total", labels, max(0.0, held - busy)
    for (uuid, code), (count, last) in snapshot.xids.items():
        event = (slots.get(uuid, ""), uuid, str(code))
        yield "labq_gpu_xid_errors_total", event, count
        yield "labq_gpu_xid_last_timestamp_seconds", event, last


def holders(snapshot: Snapshot) -> Iterator[Row]:
    """Yield who holds what now."""
    shown = 0
    for seen in snapshot.gpus:
        mine = (seen.gpu.slot, seen.gpu.uuid)
        people: dict[str, list[Holder]] = {}
        for holder in seen.holders if seen.fresh else ():
            if seen.pending and holder.source is Source.NONE:
                continue  # not known yet; a series that says "unknown" for a second is an alert for nothing
            people.setdefault(holder.user, []).append(holder)
            shown += 1
            if shown > MAX_HOLDERS:
                continue
            # A container that no engine knows (podman of another user, containerd) still has its id.
            container = holder.container or holder.container_id[:12]
            place = (*mine, holder.user, container, holder.job)
            yield (
                "labq_gpu_holder_info",
                (*mine, holder.user, str(holder.source), container, holder.job, holder.image,
                 "true" if holder.disputed else "false"),
                1,
            )  # fmt: skip
            if holder.memory is not None and holder.processes:
                yield "labq_gpu_holder_memory_used_bytes", place, holder.memory
            if holder.since is not None:
                yield "labq_gpu_holder_start_time_seconds", place, holder.since
        for user, theirs in people.items():
            working = [holder for holder in theirs if holder.processes]
            if not working:
                continue
            sizes = [holder.memory for holder in working]
            ratios = [holder.utilization for holder in working if holder.utilization is not None]
            if None not in sizes:
                yield "labq_gpu_user_memory_used_bytes", (*mine, user), sum(size or 0 for size in sizes)
            if ratios:
                yield "labq_gpu_user_sm_ratio", (*mine, user), min(1.0, sum(ratios))
            yield "labq_gpu_user_processes", (*mine, user), sum(holder.processes for holder in working)


def containers(snapshot: Snapshot) -> Iterator[Row]:
    """Yield what containers and people use of processor and memory."""
    for use in snapshot.containers[:MAX_CONTAINERS]:
        labels = (use.name, use.id[:12], use.image, use.user, use.source, use.job)
        yield "labq_container_info", labels, 1
        if use.cpu is not None:
            yield "labq_container_cpu_seconds_total", (use.name, use.user), use.cpu
        if use.memory is not None:
            yield "labq_container_memory_bytes", (use.name, use.user), use.memory
    for user, (cpu, memory) in snapshot.people.items():
        yield "labq_user_cpu_seconds_total", (user,), cpu
        yield "labq_user_memory_bytes", (user,), memory


def own(snapshot: Snapshot) -> Iterator[Row]:
    """Yield how this program does."""
    yield "labq_exporter_build_info", (__version__, snapshot.driver), 1
    if snapshot.mismatch is not None:
        yield "labq_exporter_driver_mismatch", (), float(snapshot.mismatch)
    for each in snapshot.collectors:
        if each.last:
            yield "labq_exporter_last_collect_timestamp_seconds", (each.name,), each.last
        yield "labq_exporter_last_collect_success", (each.name,), float(each.success)
        yield "labq_exporter_collect_duration_seconds", (each.name,), each.duration
        yield "labq_exporter_collect_errors_total", (each.name,), each.errors
    held = sum(len(seen.holders) for seen in snapshot.gpus if seen.fresh)
    dropped = max(0, len(snapshot.containers) - MAX_CONTAINERS) + max(0, held - MAX_HOLDERS)
    yield DROPPED, (), dropped


GROUPS: tuple[Callable[[Snapshot], Iterator[Row]], ...] = (gpus, counters, holders, containers, own)
