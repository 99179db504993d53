"""Who is stopped for whom; and that it is never in vain, never in a circle, never too often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders import GB, holding_job, make_job, make_node, make_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from labq import moves
from labq.ending import EndFacts, EndReason, StopRequest, judge
from labq.gpu_request import GpuRequest
from labq.image import Image, ImageOnNode
from labq.job import Attempt, GpuHold, Job
from labq.spec import PRIORITIES, JobSpec
from labq.states import JobState
from labq_scheduler.decide import decide
from labq_scheduler.decisions import Decisions
from labq_scheduler.policy.preempt import TRIES, Claimant, times_preempted, who_yields
from labq_scheduler.policy.room import Room, held_by
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.runtimes import Kind, Runtimes
from labq_scheduler.policy.shape import shape_of
from labq_scheduler.simulate.estimators import Fixed
from labq_scheduler.simulate.replay import Replay
from labq_scheduler.simulate.traces import TraceJob
from labq_scheduler.snapshot import Snapshot

NOW = 10_000.0
RULES = Rules()


def _scavenger(job_id: str, *uuids: str, started_at: float = 0.0, **wire: Any) -> Job:
    return holding_job(
        job_id, "n1", *uuids, started_at=started_at, **{"preemptible": True, "priority": "low", **wire}
    )


def _high(**wire: Any) -> Job:
    return replace(make_job("50", **{"gpus": "1", "priority": "high", **wire}), submitted_at=9990.0)


def _decide(job: Job, running: Sequence[Job], gpus: int = 2, rules: Rules = RULES) -> Decisions:
    return decide(make_snapshot([job], [make_node(gpus=gpus)], running=running, now=NOW), rules)


def _stopped(decisions: Decisions) -> list[str]:
    return [preempt.job.id for preempt in decisions.preempts]


def test_the_cheapest_job_of_a_worse_class_yields_and_its_place_is_kept() -> None:
    old, young = _scavenger("1", "n1-0"), _scavenger("2", "n1-1", started_at=9000.0)
    decisions = _decide(_high(), [old, young])
    assert _stopped(decisions) == ["2"]
    assert decisions.reservation is not None
    assert decisions.reservation.fit.gpus == (GpuHold("n1-1"),)
    assert decisions.reservation.start == NOW + young.spec.grace
    assert list(decisions.said.values()) == ["job 2 is being stopped for it on n1"]


def test_the_fewest_yield_even_when_more_would_be_cheaper() -> None:
    wide = _scavenger("1", "n1-0", "n1-1")
    small = [_scavenger(str(n), f"n1-{n}", started_at=9300.0) for n in (2, 3)]
    assert _stopped(_decide(_high(gpus="2"), [wide, *small], gpus=4)) == ["1"]


def test_whoever_stands_in_the_way_for_memory_yields_not_whoever_holds_a_gpu() -> None:
    node = make_node(gpus=2, memory=64 * GB)
    hog = replace(_scavenger("1"), memory=60 * GB)
    other = _scavenger("2", "n1-1", started_at=9000.0)
    job = _high(memory="32GB")
    decisions = decide(make_snapshot([job], [node], running=[hog, other], now=NOW), RULES)
    assert _stopped(decisions) == ["1"]


@pytest.mark.parametrize(
    ("victim", "job"),
    [
        (_scavenger("1", "n1-0", priority="high"), _high()),
        (_scavenger("1", "n1-0", preemptible=False), _high()),
        (_scavenger("1", "n1-0", started_at=NOW - 599), _high()),
        (_scavenger("1", "n1-0"), _high(preemptible=True)),
        (_scavenger("1", "n1-0"), _high(gpus="3")),
        (replace(_scavenger("1", "n1-0"), state=JobState.STARTING, started_at=None), _high()),
    ],
    ids=["same class", "not preemptible", "ran too short", "preemptible itself", "never fits", "starting"],
)
def test_nobody_is_stopped(victim: Job, job: Job) -> None:
    assert not _decide(job, [victim], gpus=1).preempts


def test_who_was_stopped_often_enough_runs_to_its_end() -> None:
    attempt = Attempt(1, "n1", (), "", 1.0, 2.0, None, EndReason.PREEMPTED, "", "7")
    often = replace(_scavenger("1", "n1-0"), attempts=(attempt,) * RULES.preempt_most)
    assert times_preempted(often) == 3
    assert not _decide(_high(), [often], gpus=1).preempts
    assert _decide(_high(), [replace(often, attempts=(attempt,) * 2)], gpus=1).preempts


def test_whoever_starves_has_jobs_of_any_class_stopped() -> None:
    victim = _scavenger("1", "n1-0", priority="urgent")
    starving = replace(make_job("50", gpus="1", priority="low"), submitted_at=NOW - 3600.0)
    assert not _decide(starving, [victim], gpus=1).preempts
    assert _stopped(_decide(starving, [victim], gpus=1, rules=Rules(preempt_after=3600.0))) == ["1"]
    late = Rules(bound=3600.0, preempt_after=None)
    assert _stopped(_decide(starving, [victim], gpus=1, rules=late)) == ["1"]


def test_nobody_is_stopped_when_the_place_is_free_by_then_anyway() -> None:
    ends = holding_job("9", "n1", "n1-0", started_at=NOW - 3600, time="1h")
    ends = replace(ends, state=JobState.STOPPING, stop=StopRequest(EndReason.TIME_LIMIT, "labq", NOW))
    assert not _decide(_high(), [ends, _scavenger("1", "n1-1")]).preempts


def test_while_jobs_are_being_stopped_for_it_no_more_are_and_nobody_takes_their_place() -> None:
    ending, other = _scavenger("1", "n1-0"), _scavenger("2", "n1-1")
    stop = StopRequest(EndReason.PREEMPTED, "labq", NOW - 5, for_job="50")
    ending = replace(ending, state=JobState.STOPPING, stop=stop)
    high = _high(gpus="2")
    urgent = replace(make_job("60", gpus="1", priority="urgent", time="9h"), owner="zoe", submitted_at=9999.0)
    third = replace(other, spec=replace(other.spec, preemptible=False, time=NOW + 20))
    snapshot = make_snapshot([high, urgent], [make_node(gpus=3)], running=[ending, third], now=NOW)
    decisions = decide(snapshot, RULES)
    assert decisions.reservation is not None
    assert decisions.reservation.job.id == "50"
    assert not decisions.preempts
    assert not decisions.starts


def test_what_is_given_back_for_a_job_is_kept_for_it_though_another_place_may_be_free_sooner() -> None:
    stop = StopRequest(EndReason.PREEMPTED, "labq", NOW, for_job="50")
    ending = replace(_scavenger("1", "n1-0", grace="30s"), state=JobState.STOPPING, stop=stop)
    sooner = replace(
        holding_job("2", "n2", "n2-0", started_at=NOW - 3590, time="1h", grace="5s"), owner="bob"
    )
    nodes = [make_node("n1", gpus=1), make_node("n2", gpus=1)]
    kept = decide(make_snapshot([_high()], nodes, running=[ending, sooner], now=NOW), RULES).reservation
    assert kept is not None
    assert (kept.node, kept.start) == ("n1", NOW + 30)


def test_a_short_run_that_nothing_limits_does_not_pass_a_job_for_which_others_are_being_stopped() -> None:
    stop = StopRequest(EndReason.PREEMPTED, "labq", NOW, for_job="50")
    ending = replace(_scavenger("1", "n1-0", grace="1h"), state=JobState.STOPPING, stop=stop)
    known = Runtimes()
    known.add(Kind("bob", "", 1), 10.0)
    limited = make_job("60", gpus="1", time="10m")
    for asked, passes in ((make_job("60", gpus="1"), False), (limited, True)):
        short = replace(asked, owner="bob")
        snapshot = make_snapshot([_high(gpus="2"), short], [make_node(gpus=2)], running=[ending], now=NOW, runtimes=known)  # fmt: skip
        assert bool(decide(snapshot, RULES).starts) is passes


def test_what_was_given_back_goes_to_whom_it_was_given_back_for() -> None:
    attempt = Attempt(1, "n1", (), "", 1.0, NOW, None, EndReason.PREEMPTED, "", "50")
    back = replace(make_job("1", gpus="1", preemptible=True), attempts=(attempt,), submitted_at=5.0)
    urgent = replace(make_job("60", gpus="1", priority="urgent"), owner="zoe")
    snapshot = make_snapshot([back, urgent, _high()], [make_node(gpus=1)], now=NOW)
    assert [start.job.id for start in decide(snapshot, RULES).starts] == ["50"]


def test_the_owner_reads_for_whom_and_the_job_keeps_its_place_and_its_retries() -> None:
    victim = _scavenger("1", "n1-0")
    stop = StopRequest(EndReason.PREEMPTED, "labq", NOW, for_job="50")
    stopping = Job.from_fields(moves.stopping(victim, stop).to_fields())
    assert stopping.stop == stop
    said = judge(EndFacts(0, duration=60, sent_sigterm=True), stopping.stop)
    again = Job.from_fields(moves.ended(stopping, said, 0, NOW + 3).to_fields())
    again.check()
    assert "Preempted by labq for job 50 after 1m" in again.attempts[-1].verdict
    assert again.attempts[-1].yielded_to == "50"
    assert (again.state, again.seq, again.retries_used, again.free_requeues) == (JobState.QUEUED, 1, 0, 0)


# -- many ---------------------------------------------------------------------------------------------------------


@st.composite
def _crowd(draw: st.DrawFn) -> tuple[Job, list[Job], int]:
    gpus = draw(st.integers(1, 6))
    free = [f"n1-{n}" for n in range(gpus)]
    running: list[Job] = []
    while free:
        count = draw(st.integers(1, len(free)))
        uuids, free = free[:count], free[count:]
        number = str(len(running) + 1)
        started = float(draw(st.integers(0, 9990)))
        wire = {"preemptible": draw(st.booleans()), "priority": draw(st.sampled_from(PRIORITIES))}
        running.append(holding_job(number, "n1", *uuids, started_at=started, **wire))
    return _high(gpus=str(draw(st.integers(1, gpus)))), running, gpus


@settings(deadline=None, max_examples=200)
@given(_crowd())
def test_no_smaller_set_would_do_and_of_its_size_none_is_cheaper(crowd: tuple[Job, list[Job], int]) -> None:
    job, running, gpus = crowd
    node = make_node(gpus=gpus)
    room = Room.empty(node)
    for other in running:
        room.take(held_by(other))
    claimant = Claimant(job, shape_of(job.spec), 0.0)
    found = who_yields(claimant, {"n1": room}, {"n1": running}, RULES, NOW)
    may = [other for other in running if claimant.may_stop(other, RULES, NOW)]
    sets = [
        [other for place, other in enumerate(may) if mask >> place & 1] for mask in range(1, 2 ** len(may))
    ]
    enough = [
        some for some in sets if sum(len(other.gpus) for other in some) + room.whole >= job.spec.gpus.count
    ]
    if found is None:
        assert not enough
        return
    lost = [(len(some), sum(len(o.gpus) * (NOW - (o.started_at or 0)) for o in some)) for some in enough]
    mine = (len(found.jobs), sum(len(o.gpus) * (NOW - (o.started_at or 0)) for o in found.jobs))
    assert mine == min(lost)


def test_a_node_with_very_many_small_jobs_is_decided_without_trying_every_set() -> None:
    running = [
        replace(_scavenger(str(n), started_at=float(n)), gpus=(GpuHold(f"n1-{n % 8}", GB),))
        for n in range(1, 160)
    ]
    assert TRIES < 2**159
    node = make_node(gpus=8, cpus=1000, memory=1000 * GB)
    snapshot = make_snapshot([_high(gpus="1")], [node], running=running, now=NOW)
    stopped = _stopped(decide(snapshot, RULES))
    assert len(stopped) == 19  # all that share the GPU of which the fewest do


@st.composite
def _trace(draw: st.DrawFn) -> list[TraceJob]:
    rows = []
    for number in range(draw(st.integers(2, 30))):
        preemptible = draw(st.booleans())
        count = draw(st.sampled_from([1, 1, 2, 4]))
        spec = JobSpec(
            image="simulated", gpus=GpuRequest(count), cpus=0.1, memory=2**20, preemptible=preemptible,
            priority=draw(st.sampled_from(PRIORITIES)),
        )  # fmt: skip
        runs, came = float(draw(st.integers(1, 300))), float(draw(st.integers(0, 300)))
        rows.append(
            TraceJob(str(number), draw(st.sampled_from("abc")), came, runs, count, (), None, spec=spec)
        )
    return sorted(rows, key=lambda row: row.submitted)


@settings(deadline=None, max_examples=60)
@given(
    _trace(), st.booleans(), st.sampled_from([1.0, 60.0, 1e5, None]),
    st.sampled_from([None, 30.0]), st.sampled_from([None, 50.0]),
)  # fmt: skip
def test_everything_ends_and_nobody_is_stopped_in_vain_too_often_or_by_whom_it_stopped(
    trace: list[TraceJob], checkpoint: bool, estimate: float | None, after: float | None, bound: float | None
) -> None:
    rules = Rules(preempt_after=after, bound=bound, preempt_protect=10.0)
    grace = 5.0
    asked: dict[str, float] = {}
    victims: list[tuple[str, str]] = []

    def see(snapshot: Snapshot, decisions: Decisions) -> None:
        started = {start.job.id for start in decisions.starts}
        waiting = {job.id for jobs in snapshot.queue.jobs for job in jobs} - started
        for preempt in decisions.preempts:
            job, other = preempt.job, preempt.for_job
            assert job.spec.preemptible
            assert not other.spec.preemptible
            assert snapshot.now - (job.started_at or 0.0) >= 10.0
            asked[other.id] = snapshot.now + grace
            victims.append((job.id, other.id))
        for job_id, by in asked.items():
            # Nobody else is given what was given back, but who is late: once it is all there, it starts.
            kept = bound is None and job_id in snapshot.queue.owed
            assert not kept or job_id not in waiting or snapshot.now < by

    nodes = [make_node("n1", gpus=4), make_node("n2", gpus=2)]
    runtimes = Runtimes() if estimate is None else Fixed(estimate)
    ran = Replay(
        nodes, rules, runtimes, grace=grace, checkpoint=checkpoint, every=7.0, see=see
    ).run(trace)  # fmt: skip
    assert all(row.end > row.start >= row.job.submitted for row in ran)
    assert all(len(row.stopped) <= rules.preempt_most for row in ran)
    stopped_for = set(victims)
    assert not any((other, job) in stopped_for for job, other in stopped_for)


def test_an_image_is_brought_to_a_node_before_anybody_is_stopped_there() -> None:
    nodes = [make_node("n1", gpus=1), make_node("n2", gpus=1)]
    running = [holding_job("1", "n1", "n1-0"), replace(_scavenger("2", "n2-0"), node="n2")]
    job = _high()
    has = {"n1": ImageOnNode("ready", 0.0, "sha256:1")}
    for there, stopped, prepared in [
        ({}, [], ["n2"]),
        ({"n2": ImageOnNode("preparing", 0.0)}, [], []),
        ({"n2": ImageOnNode("failed", NOW)}, [], []),
        ({"n2": ImageOnNode("ready", 0.0, "sha256:1")}, ["2"], []),
    ]:
        images = {job.image_key: Image(job.image_key, has | there)}
        decisions = decide(make_snapshot([job], nodes, running=running, images=images, now=NOW), RULES)
        assert _stopped(decisions) == stopped
        assert [prepare.node for prepare in decisions.prepares] == prepared


def test_nobody_is_stopped_where_there_is_room_that_only_lacks_the_image() -> None:
    nodes = [make_node("n1", gpus=1), make_node("n2", gpus=2)]
    full = holding_job("1", "n1", "n1-0")
    scavenger = replace(_scavenger("2", "n2-0"), node="n2")
    job = _high()
    ready = {job.image_key: Image(job.image_key, {"n1": ImageOnNode("ready", 0.0, "sha256:1")})}
    decisions = decide(make_snapshot([job], nodes, running=[full, scavenger], images=ready, now=NOW), RULES)
    assert (_stopped(decisions), [prepare.node for prepare in decisions.prepares]) == ([], ["n2"])
