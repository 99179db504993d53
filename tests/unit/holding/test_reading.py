"""Samples, owners and leases -> the state of a GPU and its holders."""

from __future__ import annotations

import pytest

from labq.holding.facts import CgroupFacts, LeaseFacts, Owner, ProcessFacts, Source
from labq.holding.reading import GONE_GRACE, HOLD_BYTES, PUZZLE, GpuState, Identities, read_gpu
from labq.holding.samples import GpuProcess, GpuSample, WatchedGpu
from labq.node import Gpu

GIB = 2**30
GPU = Gpu("GPU-0", 0, "RTX 4090", 24 * GIB)
ALICE, BOB = Owner("alice", Source.MOUNT, "a" * 64, "brave_bose"), Owner("bob", Source.UID)
LEASE = LeaseFacts("token", "7", 1, "carol", {"GPU-0": 0}, 500.0)


def watched(*processes: GpuProcess, utilization: float | None = 0.0, used: int | None = None) -> WatchedGpu:
    total = sum(process.memory or 0 for process in processes) if used is None else used
    return WatchedGpu(GPU, GpuSample(100.0, total, utilization, 40, 60.0, processes))


NAMED = {1: (ALICE, 10.0), 2: (BOB, 20.0), 3: (Owner("carol", Source.QUEUE, "c" * 64, "x", job="7"), 30.0)}


@pytest.mark.parametrize(
    ("processes", "utilization", "leases", "state", "holders"),
    [
        ((), 0.0, (), GpuState.FREE, []),
        ((), 0.9, (), GpuState.FREE, []),
        ((GpuProcess(1, HOLD_BYTES),), 0.0, (), GpuState.HELD, ["alice"]),
        ((GpuProcess(1, HOLD_BYTES - 1),), 0.0, (), GpuState.FREE, []),
        ((GpuProcess(1, HOLD_BYTES - 1, 0.5),), 0.5, (), GpuState.BUSY, ["alice"]),
        ((GpuProcess(1, None),), 0.0, (), GpuState.HELD, ["alice"]),
        ((GpuProcess(1, GIB),), 0.05, (), GpuState.HELD, ["alice"]),
        ((GpuProcess(1, GIB),), 0.06, (), GpuState.BUSY, ["alice"]),
        ((GpuProcess(1, GIB),), None, (), GpuState.BUSY, ["alice"]),
        ((), 0.0, (LEASE,), GpuState.RESERVED, ["carol"]),
        ((GpuProcess(3, GIB),), 0.5, (LEASE,), GpuState.BUSY, ["carol"]),
        ((GpuProcess(1, GIB),), 0.0, (LEASE,), GpuState.HELD, ["alice", "carol"]),
        ((GpuProcess(1, GIB), GpuProcess(2, GIB)), 0.5, (), GpuState.BUSY, ["alice", "bob"]),
        ((GpuProcess(99, GIB),), 0.5, (), GpuState.FREE, []),
    ],
)
def test_a_gpu_is_held_by_who_has_memory_computes_or_has_a_lease(
    processes: tuple[GpuProcess, ...],
    utilization: float | None,
    leases: tuple[LeaseFacts, ...],
    state: GpuState,
    holders: list[str],
) -> None:
    reading = read_gpu(watched(*processes, utilization=utilization), NAMED, leases, fresh=True)
    assert (reading.state, [holder.user for holder in reading.holders]) == (state, holders)


def test_processes_of_one_container_are_one_holder_with_the_sum_of_their_memory() -> None:
    named = {1: (ALICE, 50.0), 4: (ALICE, 40.0)}
    small = HOLD_BYTES // 2
    reading = read_gpu(
        watched(GpuProcess(1, small, 0.3), GpuProcess(4, small, 0.2), used=GIB), named, (), fresh=True
    )
    (holder,) = reading.holders
    assert (holder.memory, holder.utilization, holder.processes, holder.since) == (2 * small, 0.5, 2, 40.0)
    assert (holder.container, holder.outside, reading.unattributed) == ("brave_bose", True, GIB - 2 * small)


def test_on_a_busy_gpu_of_two_the_one_whose_processes_do_nothing_is_not_busy() -> None:
    reading = read_gpu(
        watched(GpuProcess(1, GIB, 0.8), GpuProcess(2, GIB, 0.0), utilization=0.8), NAMED, (), fresh=True
    )
    assert {holder.user: holder.busy for holder in reading.holders} == {"alice": True, "bob": False}


def test_without_word_of_the_driver_nobody_on_a_busy_gpu_is_called_idle() -> None:
    reading = read_gpu(
        watched(GpuProcess(1, GIB), GpuProcess(2, GIB), utilization=0.8), NAMED, (), fresh=True
    )
    assert all(holder.busy for holder in reading.holders)


@pytest.mark.parametrize("fresh", [True, False])
def test_a_gpu_that_cannot_be_read_is_lost_and_only_its_leases_are_known(fresh: bool) -> None:
    sick = WatchedGpu(GPU, GpuSample(100.0, error="GPU is lost", lost=True))
    reading = read_gpu(sick, NAMED, (LEASE,), fresh=fresh)
    assert reading.state is GpuState.LOST
    assert [(holder.user, holder.job, holder.processes) for holder in reading.holders] == [("carol", "7", 0)]


def test_a_simulated_gpu_is_free_or_reserved_since_nobody_asks_it() -> None:
    made_up = WatchedGpu(Gpu("GPU-0", 0, "RTX 4090", GIB, simulated=True))
    assert read_gpu(made_up, {}, (), fresh=False).state is GpuState.FREE
    assert read_gpu(made_up, {}, (LEASE,), fresh=False).state is GpuState.RESERVED


class Machine:
    """Processes by pid; a test takes them away and uses pids again."""

    def __init__(self) -> None:
        self.processes: dict[int, ProcessFacts] = {}
        self.owners: dict[int, Owner] = {}

    def start(self, pid: int, start: int, owner: Owner) -> None:
        self.processes[pid] = ProcessFacts(pid, start, float(start), 1000, None, CgroupFacts())
        self.owners[pid] = owner

    def named(self, known: Identities, pids: set[int], now: float) -> dict[int, tuple[str, Source]]:
        found = known.name(pids, self.processes.get, lambda facts: self.owners[facts.pid], now)
        return {pid: (owner.user, owner.source) for pid, (owner, _) in found.items()}


def test_a_process_that_died_is_its_owners_once_more_then_nobodys_and_then_his_leak() -> None:
    machine, known = Machine(), Identities()
    machine.start(1, 5, BOB)
    assert machine.named(known, {1}, 0.0) == {1: ("bob", Source.UID)}
    del machine.processes[1]
    # The driver's answer is from before the look, when it lived.
    assert machine.named(known, {1}, 1.0) == {1: ("bob", Source.UID)}
    assert machine.named(known, {1}, 2.0) == {}
    assert machine.named(known, {1}, 1.0 + GONE_GRACE) == {1: ("bob", Source.GONE)}
    assert machine.named(known, {2}, 20.0) == {}
    assert machine.named(known, {2}, 20.0 + GONE_GRACE) == {2: ("unknown", Source.GONE)}


def test_a_process_that_exits_stays_its_containers_when_the_kernel_has_put_it_out_of_it() -> None:
    machine, known = Machine(), Identities()
    machine.start(1, 5, Owner("alice", Source.MOUNT, "c" * 64, "train"))
    machine.named(known, {1}, 0.0)
    machine.owners[1] = Owner()  # cgroup v1 says "/" of whatever exits
    assert machine.named(known, {1}, 1.0) == {1: ("alice", Source.MOUNT)}
    machine.start(1, 9, Owner())
    assert machine.named(known, {1}, 2.0) == {1: ("unknown", Source.NONE)}


def test_a_pid_that_is_used_again_is_the_new_owners() -> None:
    machine, known = Machine(), Identities()
    machine.start(1, 5, BOB)
    machine.named(known, {1}, 0.0)
    machine.start(1, 9, ALICE)
    assert machine.named(known, {1}, 1.0) == {1: ("alice", Source.MOUNT)}


def test_a_job_keeps_its_dying_processes_after_its_lease_has_ended() -> None:
    machine, known = Machine(), Identities()
    machine.start(1, 5, NAMED[3][0])
    machine.named(known, {1}, 0.0)
    machine.owners[1] = Owner()  # the lease has gone: the rules know nobody any more
    assert machine.named(known, {1}, 1.0) == {1: ("carol", Source.QUEUE)}
    machine.start(1, 9, Owner())  # but the next process with this pid is not the job's
    assert machine.named(known, {1}, 2.0) == {1: ("unknown", Source.NONE)}


def test_who_is_not_known_at_once_is_called_unknown_only_after_some_looks() -> None:
    machine, known = Machine(), Identities()
    machine.start(1, 5, Owner())
    assert machine.named(known, {1}, 0.0) == {1: ("unknown", Source.NONE)}
    assert known.undecided == {1}
    assert machine.named(known, {1}, PUZZLE - 0.1) == {1: ("unknown", Source.NONE)}
    assert known.undecided == {1}
    machine.named(known, {1}, PUZZLE)
    assert known.undecided == set()
    machine.start(2, 6, Owner())
    machine.named(known, {1, 2}, PUZZLE + 1)
    assert known.undecided == {2}
    machine.owners[2] = BOB  # its engine has told of its container
    assert machine.named(known, {1, 2}, PUZZLE + 2)[2] == ("bob", Source.UID)
    assert known.undecided == set()


def test_a_gpu_with_an_undecided_process_is_held_and_charges_nobody_yet() -> None:
    reading = read_gpu(
        watched(GpuProcess(1, GIB), GpuProcess(9, GIB)),
        NAMED | {9: (Owner(), 5.0)},
        (),
        fresh=True,
        undecided={9},
    )
    assert (reading.pending, reading.state) == (True, GpuState.HELD)
    assert read_gpu(watched(GpuProcess(1, GIB)), NAMED, (), fresh=True, undecided={9}).pending is False


def test_where_the_driver_lists_no_processes_what_is_used_is_the_leases_or_unknowns() -> None:
    def seen(used: int, utilization: float, *leases: LeaseFacts) -> tuple[str, list[tuple[str, bool]]]:
        unlisted = WatchedGpu(GPU, GpuSample(100.0, used, utilization, 40, 60.0, None))
        reading = read_gpu(unlisted, {}, leases, fresh=True)
        return str(reading.state), [(holder.user, holder.busy) for holder in reading.holders]

    assert seen(15 * GIB, 1.0) == ("busy", [("unknown", True)])
    assert seen(15 * GIB, 0.0) == ("held", [("unknown", False)])
    assert seen(GIB // 2, 0.0) == ("free", [])
    assert seen(15 * GIB, 1.0, LEASE) == ("busy", [("carol", True)])
    assert seen(GIB // 2, 0.0, LEASE) == ("held", [("carol", False)])
