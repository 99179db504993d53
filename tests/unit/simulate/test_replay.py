"""What must hold in every replay, looked at from outside: the tests count by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from unit.simulate.workload import workload

from labq.spec import JobSpec
from labq_scheduler.decide import decide
from labq_scheduler.decisions import Start
from labq_scheduler.policy.rules import Rules
from labq_scheduler.simulate.baselines import BASELINES, Policy, own
from labq_scheduler.simulate.machines import parse_machines
from labq_scheduler.simulate.replay import Ran, Replay
from labq_scheduler.simulate.traces import TraceJob
from labq_scheduler.snapshot import Snapshot

POLICIES = {**BASELINES, "own": own(Rules())}
NODES = parse_machines("2x4,1x8")
GPUS = 16


def replay(policy: Policy, trace: Sequence[TraceJob]) -> list[Ran]:
    return Replay(NODES, policy.rules, policy.estimator(trace), name_each=policy.name_each).run(trace)


def most_at_once(rows: Sequence[tuple[float, float, int]]) -> int:
    """Returns the most that (start, end, number) add up to at any time."""
    events = sorted(
        [(end, -number) for _, end, number in rows] + [(start, number) for start, _, number in rows]
    )
    most = now = 0
    for _, change in events:
        now += change
        most = max(most, now)
    return most


@pytest.mark.parametrize("name", POLICIES)
def test_every_job_runs_once_as_long_as_it_ran_and_never_are_more_gpus_held_than_there_are(name: str) -> None:
    trace = workload(1)
    rows = replay(POLICIES[name], trace)
    assert [row.job.id for row in rows] == [job.id for job in trace]
    for row in rows:
        assert row.start >= row.job.submitted
        assert row.end == row.start + row.job.duration
        assert row.held == row.job.gpus
    for node in NODES:
        here = [(row.start, row.end, row.job.gpus) for row in rows if row.nodes == (node.name,)]
        assert 0 < most_at_once(here) <= len(node.gpus)
    assert most_at_once([(row.start, row.end, row.job.gpus) for row in rows]) == GPUS


@pytest.mark.parametrize("name", ["easy-pred", "own"])
def test_no_gpu_is_held_twice_also_by_jobs_that_are_larger_than_a_node(name: str) -> None:
    policy, trace = POLICIES[name], workload(2, 200, sizes=(1, 2, 4, 12))

    def look(snapshot: Snapshot, starts: Sequence[Start]) -> None:
        held = Counter(hold.uuid for jobs in snapshot.holding.values() for job in jobs for hold in job.gpus)
        for start in starts:
            held.update(
                hold.uuid for fit in (start.fit, *(fit for _, fit in start.more)) for hold in fit.gpus
            )
        assert not held or max(held.values()) == 1

    rows = Replay(NODES, policy.rules, policy.estimator(trace), look).run(trace)
    assert {row.held for row in rows if row.job.gpus == 12} == {12.0}
    assert {len(row.nodes) for row in rows if row.job.gpus == 12} == {2}


@pytest.mark.parametrize("seed", range(3))
def test_fifo_keeps_the_order_of_arrival(seed: int) -> None:
    starts = [row.start for row in replay(POLICIES["fifo"], workload(seed))]
    assert starts == sorted(starts)


@pytest.mark.parametrize("seed", range(3))
def test_who_lets_everybody_pass_leaves_no_room_unused(seed: int) -> None:
    policy, trace = POLICIES["fifo-skip"], workload(seed)
    looked = 0

    def look(snapshot: Snapshot, starts: Sequence[Start]) -> None:
        nonlocal looked
        free = {node.name: len(node.gpus) for node in NODES}
        for name, jobs in snapshot.holding.items():
            free[name] -= sum(len(job.gpus) for job in jobs)
        for start in starts:
            free[start.node] -= len(start.fit.gpus)
        started = {start.job.id for start in starts}
        for jobs in snapshot.queue.jobs:
            for job in jobs:
                if job.id not in started:
                    looked += 1
                    assert job.spec.gpus.count > max(free.values())

    Replay(NODES, policy.rules, policy.estimator(trace), look).run(trace)
    assert looked > 100


@pytest.mark.parametrize("seed", range(4))
def test_who_is_promised_a_start_by_true_run_times_starts_by_then(seed: int) -> None:
    policy, trace = POLICIES["easy-oracle"], workload(seed, sizes=(1, 1, 1, 2, 4, 8))
    estimator, promised = policy.estimator(trace), dict[str, float]()

    def look(snapshot: Snapshot, starts: Sequence[Start]) -> None:
        decisions = decide(snapshot, policy.rules)  # without what the replay remembers: and yet the same
        assert [(start.job.id, start.node) for start in decisions.starts] == [
            (s.job.id, s.node) for s in starts
        ]
        if decisions.reservation is not None:
            promised.setdefault(decisions.reservation.job.id, decisions.reservation.start)

    rows = Replay(NODES, policy.rules, estimator, look, name_each=True).run(trace)
    assert len(promised) > 20
    late = {
        name: rows[int(name)].start - at for name, at in promised.items() if rows[int(name)].start > at + 1e-6
    }
    assert late == {}


def test_backfill_by_true_run_times_makes_nobody_wait_longer_for_the_first_place_than_strict_order() -> None:
    trace = workload(5)
    strict, easy = (replay(POLICIES[name], trace) for name in ("fifo", "easy-oracle"))
    assert sum(row.waited for row in easy) < 0.7 * sum(row.waited for row in strict)


@pytest.mark.parametrize("name", POLICIES)
def test_a_replay_is_the_same_each_time(name: str) -> None:
    trace = workload(6, 150)
    first, second = replay(POLICIES[name], trace), replay(POLICIES[name], trace)
    assert [(row.start, row.nodes) for row in first] == [(row.start, row.nodes) for row in second]


def test_an_empty_lab_starts_everything_at_once() -> None:
    trace = workload(7, 20, every=1e6)
    assert {row.waited for row in replay(POLICIES["own"], trace)} == {0.0}


def test_shares_of_a_gpu_hold_their_part_and_two_share_one_card() -> None:
    spec = JobSpec.from_wire({"image": "x", "gpus": "share:8GB", "cpus": 1, "memory": "1GB"})
    trace = [
        TraceJob(str(number), "ann", 0.0, 100.0, 1, spec=replace(spec, seed=number)) for number in range(6)
    ]
    rows = Replay(parse_machines("1x2:card:24GB"), Rules(), POLICIES["own"].estimator(trace)).run(trace)
    assert {row.waited for row in rows} == {0.0}
    assert {round(row.gpus, 6) for row in rows} == {round(1 / 3, 6)}


def test_a_job_that_fits_nowhere_is_named() -> None:
    trace = [TraceJob("big", "ann", 0.0, 1.0, 9)]
    policy = POLICIES["own"]
    with pytest.raises(RuntimeError, match=r"job big \(9 GPUs\) can never start"):
        Replay(parse_machines("1x4"), policy.rules, policy.estimator(trace)).run(trace)
