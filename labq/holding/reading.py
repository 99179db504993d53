"""Who holds each GPU, and in which of four states it is. Pure.

A GPU is *held* by whoever has a process on it with 100 MiB or more (or whose memory the driver cannot tell, or
that computes), and by whoever has a lease of the queue on it. A container that was merely started with
``--gpus all`` holds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from labq.holding.facts import UNKNOWN, LeaseFacts, Owner, ProcessFacts, Source
from labq.holding.samples import GpuProcess, GpuSample, WatchedGpu
from labq.node import Gpu

#: Bytes below which a process that does not compute is furniture (a desktop, a monitoring tool), not a holder.
#: The figure of gpu-usage-audit; a bare CUDA context takes 200 to 500 MiB.
HOLD_BYTES = 100 * 2**20
#: Bytes that a driver may hold for itself on a GPU that nobody uses (an H100's takes 0.6 GiB).
DRIVERS_OWN = 2**30
#: Ratio of use above which a GPU is busy: one stray kernel is not work.
BUSY_ABOVE = 0.05
#: Seconds for which a process that has gone from /proc is not yet a leak: drivers take a moment to forget it.
GONE_GRACE = 10.0
#: Seconds for which nobody is charged for a process that no rule names: its container may be too new for its engine's
#: list, or it may just be dying.
PUZZLE = 3.0


class GpuState(StrEnum):
    """What a GPU is for somebody who looks for a free one."""

    FREE = "free"
    #: leased by the queue, and no process yet
    RESERVED = "reserved"
    #: somebody holds it, and it does nothing
    HELD = "held"
    BUSY = "busy"
    #: it cannot be read, or fell off the bus
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Holder:
    """One person's hold on one GPU, by one container or by processes outside containers."""

    user: str
    source: Source
    #: seconds since the epoch: start of the oldest process, or of the lease; None = not known
    since: float | None
    #: bytes; None = the driver cannot say
    memory: int | None = None
    #: 0 to 1; None = the driver cannot say
    utilization: float | None = None
    #: 0 = a lease whose job has no process on the GPU yet
    processes: int = 0
    container: str = ""
    container_id: str = ""
    image: str = ""
    job: str = ""
    disputed: str = ""
    busy: bool = False

    @property
    def outside(self) -> bool:
        """Return whether this is use outside the queue."""
        return not self.job


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One GPU at one moment."""

    watched: WatchedGpu
    state: GpuState
    holders: tuple[Holder, ...] = ()
    #: False = the driver's last answer is too old to say anything; the holders are those of leases only
    fresh: bool = True
    #: True = somebody holds it, and who is not known yet: nothing is charged before it is
    pending: bool = False
    #: bytes in use that no process accounts for (managed memory, a leak); None = not known
    unattributed: int | None = None

    @property
    def gpu(self) -> Gpu:
        """Return which GPU."""
        return self.watched.gpu


class Identities:
    """Remembers whom processes belonged to: for those that died, and for jobs whose lease has just ended."""

    def __init__(self) -> None:
        """Know nobody."""
        self._known: dict[int, tuple[int, Owner, float]] = {}
        self._gone: dict[int, float] = {}
        self._puzzles: dict[int, float] = {}
        #: processes of the last call that no rule names, and that are too new to be called unknown
        self.undecided: frozenset[int] = frozenset()

    def name(
        self,
        pids: Iterable[int],
        read: Callable[[int], ProcessFacts | None],
        owner_of: Callable[[ProcessFacts], Owner],
        now: float,
    ) -> dict[int, tuple[Owner, float | None]]:
        """Return owner and start (seconds since the epoch) of each process; those just gone are left out.

        Args:
            pids: processes on GPUs now.
            read: what /proc says; None = it has gone.
            owner_of: the rules.
            now: monotonic seconds.
        """
        out: dict[int, tuple[Owner, float | None]] = {}
        wanted = set(pids)
        for pid in wanted:
            facts = read(pid)
            known = self._known.get(pid)
            if facts is None:
                first = pid not in self._gone
                since = self._gone.setdefault(pid, now)
                if first and known:
                    # The driver was asked while it still lived: without this every end would come too early.
                    out[pid] = (known[1], known[2])
                elif now - since >= GONE_GRACE:
                    owner = known[1] if known else Owner()
                    out[pid] = (replace(owner, source=Source.GONE), known[2] if known else None)
                continue
            self._gone.pop(pid, None)
            owner = owner_of(facts)
            if known and known[0] == facts.start and _still(known[1], owner):
                owner = known[1]
            self._known[pid] = (facts.start, owner, facts.started_at)
            out[pid] = (owner, facts.started_at)
        puzzles = {pid for pid, (owner, _) in out.items() if owner.source is Source.NONE}
        self._puzzles = {pid: self._puzzles.get(pid, now) for pid in puzzles}
        self.undecided = frozenset(pid for pid, since in self._puzzles.items() if now - since < PUZZLE)
        self._known = {pid: known for pid, known in self._known.items() if pid in wanted}
        self._gone = {pid: since for pid, since in self._gone.items() if pid in wanted}
        return out


def _still(before: Owner, after: Owner) -> bool:
    """Return whether a process that dies is to its last moment what it was, whatever the rules say of it now."""
    # Its lease has ended; or cgroup v1 has put it, since it exits, out of its container (a driver may take long over it).
    return before.source is Source.QUEUE or bool(before.container_id and not after.container_id)


def read_gpu(
    watched: WatchedGpu,
    named: Mapping[int, tuple[Owner, float | None]],
    leases: Sequence[LeaseFacts],
    *,
    fresh: bool,
    undecided: Container[int] = (),
) -> GpuReading:
    """Return the state of one GPU and its holders, sorted by user.

    Args:
        watched: what the driver said last.
        named: owner and start of processes by pid; one that is missing is not counted.
        leases: of this node.
        fresh: False when the sample is too old to say anything.
        undecided: processes of which it is not known yet whose they are.
    """
    gpu, sample = watched.gpu, watched.sample
    mine = [lease for lease in leases if gpu.uuid in lease.gpus]
    if sample is None or not fresh or sample.error:
        # Nothing but the leases is known: a driver that hangs must not make a leased GPU look free.
        holders = tuple(_reserved(lease) for lease in mine)
        # Nobody asks a simulated GPU.
        state = _leased_state(holders) if gpu.simulated else GpuState.LOST
        return GpuReading(watched, state, holders, fresh=fresh and sample is not None)
    if sample.processes is None:
        return _without_processes(watched, sample, mine)
    found: dict[tuple[str, str, str], list[tuple[GpuProcess, Owner, float | None]]] = {}
    for process in sample.processes or ():
        if process.pid in named:
            owner, started = named[process.pid]
            found.setdefault((owner.user, owner.container_id, owner.job), []).append(
                (process, owner, started)
            )
    holders_now = [holder for group in found.values() if (holder := _holder(group)) is not None]
    users = {(holder.user, holder.outside) for holder in holders_now}
    holders_now = [
        replace(holder, busy=_is_busy(holder, sample, alone=len(users) == 1)) for holder in holders_now
    ]
    jobs = {holder.job for holder in holders_now}
    everybody = holders_now + [_reserved(lease) for lease in mine if lease.job not in jobs]
    everybody.sort(key=lambda holder: (holder.user, holder.container, holder.job))
    pending = any(process.pid in undecided for process in sample.processes or ())
    return GpuReading(
        watched,
        _state(holders_now, everybody),
        tuple(everybody),
        pending=pending,
        unattributed=_unattributed(sample),
    )


def _without_processes(watched: WatchedGpu, sample: GpuSample, mine: Sequence[LeaseFacts]) -> GpuReading:
    """Return the reading of a GPU whose driver does not list processes: what is used is the lease's, else unknown's."""
    busy = sample.utilization is None or sample.utilization > BUSY_ABOVE
    if mine:
        holders = tuple(replace(_reserved(lease), busy=busy) for lease in mine)
        state = GpuState.BUSY if busy else GpuState.HELD
        return GpuReading(watched, state, holders)
    if (sample.memory_used or 0) < DRIVERS_OWN and not (sample.utilization or 0.0) > BUSY_ABOVE:
        return GpuReading(watched, GpuState.FREE)
    somebody = Holder(UNKNOWN, Source.NONE, None, sample.memory_used, sample.utilization, 1, busy=busy)
    return GpuReading(watched, GpuState.BUSY if busy else GpuState.HELD, (somebody,))


def _holder(group: Sequence[tuple[GpuProcess, Owner, float | None]]) -> Holder | None:
    """Return the hold of one owner's processes in one place; None when they are too small to count."""
    owner = group[0][1]
    sizes = [process.memory for process, _, _ in group]
    ratios = [process.utilization for process, _, _ in group if process.utilization is not None]
    memory = None if None in sizes else sum(size for size in sizes if size is not None)
    utilization = min(1.0, sum(ratios)) if ratios else None
    if memory is not None and memory < HOLD_BYTES and (utilization or 0.0) <= BUSY_ABOVE:
        return None
    starts = [started for _, _, started in group if started is not None]
    return Holder(
        owner.user,
        owner.source,
        min(starts, default=None),
        memory,
        utilization,
        len(group),
        owner.container,
        owner.container_id,
        owner.image,
        owner.job,
        owner.disputed,
    )


def _is_busy(holder: Holder, sample: GpuSample, *, alone: bool) -> bool:
    if sample.utilization is None:
        return True  # the driver cannot say (MIG): nobody is called idle on no evidence
    if sample.utilization <= BUSY_ABOVE:
        return False
    # Several people on a busy GPU: each by their own processes, where the driver tells.
    return alone or holder.utilization is None or holder.utilization > 0.0


def _reserved(lease: LeaseFacts) -> Holder:
    return Holder(lease.owner, Source.QUEUE, lease.since or None, job=lease.job)


def _leased_state(holders: Sequence[Holder]) -> GpuState:
    return GpuState.RESERVED if holders else GpuState.FREE


def _state(with_processes: Sequence[Holder], everybody: Sequence[Holder]) -> GpuState:
    if any(holder.busy for holder in with_processes):
        return GpuState.BUSY
    return GpuState.HELD if with_processes else _leased_state(everybody)


def _unattributed(sample: GpuSample) -> int | None:
    if sample.memory_used is None or sample.processes is None:
        return None
    sizes = [process.memory for process in sample.processes]
    if None in sizes:
        return None
    return max(0, sample.memory_used - sum(size for size in sizes if size is not None))
