"""The wait bound: proved in docs/explanation/backfill.md, and looked for counterexamples of here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import holding_job, make_job, make_node, make_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from labq.ending import EndReason
from labq.gpu_request import GpuRequest
from labq.image import Image, ImageOnNode
from labq.job import Attempt, Job
from labq.spec import PRIORITIES, JobSpec
from labq_scheduler.decide import decide
from labq_scheduler.policy.bound import LONGEST_GRACE, bound_of, waiting_since
from labq_scheduler.policy.rules import Caps, Passing, Rules, Window
from labq_scheduler.simulate.estimators import Fixed
from labq_scheduler.simulate.replay import Ran, Replay
from labq_scheduler.simulate.traces import TraceJob
from labq_scheduler.snapshot import Snapshot

BOUND, LIMIT, GRACE = 100.0, 60.0, 5.0
NODES = (
    make_node("n1", gpus=2, model="NVIDIA A100"),
    make_node("n2", gpus=4, model="NVIDIA T4", cpus=6),
    make_node("n3", gpus=1, model="NVIDIA T4", rack="b"),
)


@st.composite
def _trace(draw: st.DrawFn) -> list[TraceJob]:
    rows = []
    for number in range(draw(st.integers(2, 40))):
        count = draw(st.sampled_from([1, 1, 1, 2, 3, 4]))
        models = draw(st.sampled_from([(), ("t4",), ("a100",)])) if count <= 2 else ()
        share = draw(st.booleans()) and count == 1
        limit = draw(st.sampled_from([10.0, 30.0, LIMIT]))
        spec = JobSpec(
            image="simulated", gpus=GpuRequest(1, share=8 * 2**30) if share else GpuRequest(count, models),
            cpus=draw(st.sampled_from([0.1, 1.0, 4.0])), memory=2**20,
            priority=draw(st.sampled_from(PRIORITIES)), preemptible=draw(st.booleans()),
            nodes=("rack=b",) if count == 1 and not models and draw(st.integers(0, 5)) == 0 else (),
        )  # fmt: skip
        rows.append(
            TraceJob(
                str(number), draw(st.sampled_from("abc")), float(draw(st.integers(0, 120))),
                min(limit, float(draw(st.integers(1, 60)))), count, models, limit, spec=spec,
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: row.submitted)


def _too_late(ran: list[Ran], phases: int = 1) -> list[str]:
    """Return the jobs that started after their bound; ``phases``: 2 where there are caps."""
    found = []
    for place, row in enumerate(ran):
        late_at = row.job.submitted + BOUND
        before = sum(other.start > late_at for other in ran[:place])
        # who was stopped before it came, and waits again or runs again
        before += sum(
            other.end > late_at and any(at <= row.job.submitted for at in other.stopped) for other in ran
        )
        if row.start > late_at + phases * (before + 1) * (LIMIT + GRACE) + 1e-6:
            found.append(f"{row.job.id} was late at {late_at}, started at {row.start}, {before} before it")
    return found


@settings(deadline=None, max_examples=80)
@given(_trace(), st.sampled_from([1.0, 60.0, 1e6]), st.sampled_from(list(Passing)), st.booleans())
def test_whoever_is_late_starts_within_the_bound_however_wrong_the_estimates_are(
    trace: list[TraceJob], estimate: float, passing: Passing, preempting: bool
) -> None:
    rules = Rules(
        bound=BOUND, passing=passing, preempt_after=40.0 if preempting else None, preempt_protect=5.0
    )
    if not preempting:
        trace = [_never_stopped(row) for row in trace]
    ran = Replay(NODES, rules, Fixed(estimate), grace=GRACE).run(trace)
    assert not _too_late(ran)


def _never_stopped(row: TraceJob) -> TraceJob:
    assert row.spec is not None
    return replace(row, spec=replace(row.spec, preemptible=False))


@st.composite
def _returning(draw: st.DrawFn) -> list[TraceJob]:
    """Return equal jobs of one person that yield, and jobs of others that have them stopped."""
    rows = []
    for number in range(draw(st.integers(8, 50))):
        yields = draw(st.booleans())
        spec = JobSpec(
            image="simulated", gpus=GpuRequest(1 if yields else draw(st.integers(1, 2))), cpus=0.1, memory=2**20,
            preemptible=yields, priority="low" if yields else draw(st.sampled_from(PRIORITIES[:3])),
        )  # fmt: skip
        rows.append(
            TraceJob(
                str(number), "a" if yields else draw(st.sampled_from("bc")), float(draw(st.integers(0, 400))),
                float(draw(st.integers(20, 60))), spec.gpus.count, (), LIMIT, spec=spec,
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: row.submitted)


@settings(deadline=None, max_examples=150)
@given(_returning())
def test_who_comes_back_to_the_head_of_a_line_does_not_make_those_behind_wait_anew(
    trace: list[TraceJob],
) -> None:
    rules = Rules(bound=BOUND, preempt_after=40.0, preempt_protect=5.0)
    nodes = [make_node("n1", gpus=2)]
    assert not _too_late(Replay(nodes, rules, Fixed(LIMIT), grace=GRACE, every=5.0).run(trace))


CAPPED = Rules(
    cap=Caps(gpus=4.0, jobs=3), groups={"a": "g", "b": "g"}, group_caps={"g": Caps(gpus=5.0)}, bound=BOUND
)


@settings(deadline=None, max_examples=60)
@given(_trace(), st.sampled_from([1.0, 60.0, 1e6]), st.sampled_from(list(Passing)))
def test_who_is_at_a_cap_waits_for_twice_the_bound_at_most(
    trace: list[TraceJob], estimate: float, passing: Passing
) -> None:
    rules = replace(CAPPED, passing=passing, preempt_after=None)
    assert not _too_late(Replay(NODES, rules, Fixed(estimate), grace=GRACE).run(trace), phases=2)


@pytest.mark.parametrize("others", ["c", "ab"])
def test_a_stream_of_small_jobs_does_not_keep_a_late_one_of_the_person_or_the_group_at_the_cap(
    others: str,
) -> None:
    rules = replace(CAPPED, cap=Caps(gpus=4.0), group_caps={"g": Caps(gpus=4.0)}, preempt_after=None)
    small = [TraceJob(str(n), others[n % len(others)], 15.0 * n, 45.0, 1, (), LIMIT) for n in range(100)]
    wide = TraceJob("wide", others[0], 1.0, 10.0, 4, (), LIMIT)
    trace = sorted([*small, wide], key=lambda row: row.submitted)
    nodes = [make_node("n1", gpus=8)]
    assert not _too_late(Replay(nodes, rules, Fixed(1.0), grace=GRACE).run(trace), phases=2)


@settings(deadline=None, max_examples=40)
@given(_trace(), st.sampled_from([1.0, 1e6]), st.booleans())
def test_what_is_promised_is_kept(trace: list[TraceJob], estimate: float, capped: bool) -> None:
    rules = replace(CAPPED if capped else Rules(bound=BOUND), preempt_after=None)
    promised: dict[str, float] = {}

    def see(snapshot: Snapshot, decisions: object) -> None:
        for jobs in snapshot.queue.jobs:
            for job in jobs:
                within = bound_of(job, snapshot, rules, LIMIT)
                assert within is not None
                promised[job.id] = min(promised.get(job.id, float("inf")), snapshot.now + within)

    ran = Replay(NODES, rules, Fixed(estimate), see=see, grace=GRACE).run(trace)
    assert all(row.start <= promised[str(number)] for number, row in enumerate(ran))


@st.composite
def _stream(draw: st.DrawFn) -> list[TraceJob]:
    """Return small jobs that come without end, and a few wide ones among them."""
    gap, runs = (
        draw(st.sampled_from([3.0, 5.0, 7.0, 8.0])),
        draw(st.lists(st.floats(10, 58), min_size=1, max_size=5)),
    )
    small = [
        TraceJob(str(n), "ab"[n % 2], gap * n, runs[n % len(runs)], 1, (), LIMIT) for n in range(100)
    ]  # fmt: skip
    sizes = draw(st.lists(st.sampled_from([3, 4]), min_size=1, max_size=3))
    wide = [TraceJob(f"wide{n}", "c", 10.0 + 20 * n, 10.0, size, (), LIMIT) for n, size in enumerate(sizes)]
    return sorted([*small, *wide], key=lambda row: row.submitted)


STREAM_NODE = NODES[1:2]


@settings(deadline=None, max_examples=30)
@given(_stream(), st.sampled_from([1.0, 20.0, 1e6]), st.sampled_from(list(Passing)))
def test_a_wide_job_starts_within_the_bound_though_small_ones_never_stop_coming(
    trace: list[TraceJob], estimate: float, passing: Passing
) -> None:
    rules = Rules(bound=BOUND, passing=passing, preempt_after=None)
    assert not _too_late(Replay(STREAM_NODE, rules, Fixed(estimate), grace=GRACE).run(trace))


@pytest.mark.parametrize("passing", [Passing.ANY, Passing.EASY])
def test_without_a_bound_a_wide_job_waits_longer_than_that(passing: Passing) -> None:
    small = [TraceJob(str(n), "ab"[n % 2], 7.0 * n, 45.0, 1, (), LIMIT) for n in range(100)]
    wide = TraceJob("wide", "c", 1.0, 10.0, 4, (), LIMIT)
    trace = sorted([*small, wide], key=lambda row: row.submitted)
    rules = Rules(passing=passing, preempt_after=None)
    assert _too_late(Replay(STREAM_NODE, rules, Fixed(1.0), grace=GRACE).run(trace))


# -- one decision ------------------------------------------------------------------------------------------------

LATE = Rules(bound=3600.0, preempt_after=None)


def test_a_late_job_whose_owner_is_at_the_cap_blocks_nobody_and_is_told() -> None:
    capped = replace(make_job("1", gpus="1", time="1h"), submitted_at=0.0)
    other = replace(make_job("2", gpus="1", time="1h"), owner="bob", submitted_at=9000.0)
    rules = replace(LATE, cap=Caps(gpus=1))
    node = make_node(gpus=2)
    snapshot = make_snapshot(
        [capped, other], [node], running=[holding_job("9", "n1", "n1-0", started_at=9000, time="1h")]
    )
    decisions = decide(snapshot, rules)
    assert [start.job.id for start in decisions.starts] == ["2"]
    assert "the lab's rules allow 1" in decisions.said[snapshot.queue.keys[0]]
    assert decisions.reservation is None


def test_jobs_of_the_same_person_do_not_take_the_cap_that_a_late_job_waits_for() -> None:
    late = replace(make_job("1", gpus="2", time="1h"), submitted_at=0.0)
    young = replace(make_job("2", gpus="1", time="1m"), submitted_at=9999.0)
    running = replace(holding_job("9", "n1", "n1-0", started_at=9000, time="2h"), owner="bob")
    snapshot = make_snapshot([late, young], [make_node(gpus=2)], running=[running])
    assert [start.job.id for start in decide(snapshot, LATE).starts] == ["2"]
    assert not decide(snapshot, replace(LATE, cap=Caps(gpus=2))).starts


def test_a_late_job_is_reserved_a_place_only_where_its_image_is() -> None:
    late = replace(make_job("1", gpus="1", time="1h"), submitted_at=0.0)
    young = replace(make_job("2", gpus="1", time="3h"), submitted_at=9999.0)
    nodes = [make_node("n1", gpus=1), make_node("n2", gpus=1)]
    at = {"n1": ImageOnNode("failed", 1.0), "n2": ImageOnNode("ready", 0.0, "sha256:1")}
    running = replace(holding_job("9", "n2", "n2-0", started_at=9000, time="1h"), owner="bob")
    snapshot = make_snapshot(
        [late, young], nodes, running=[running], images={late.image_key: Image(late.image_key, at)}
    )
    decisions = decide(snapshot, LATE)
    assert decisions.reservation is not None
    assert (decisions.reservation.node, decisions.reservation.hard) == ("n2", True)


def test_use_outside_the_queue_is_not_counted_on_while_another_place_is_certain() -> None:
    late = replace(make_job("1", gpus="1", time="1h"), submitted_at=0.0)
    nodes = [make_node("n1", gpus=1), make_node("n2", gpus=1)]
    running = holding_job("9", "n2", "n2-0", started_at=9000, time="9d")
    snapshot = replace(make_snapshot([late], nodes, running=[running]), outside={"n1": {"n1-0": ()}})
    reservation = decide(snapshot, LATE).reservation
    assert reservation is not None
    assert reservation.node == "n2"


def test_where_nothing_is_limited_the_late_job_is_protected_by_what_is_likely() -> None:
    late = replace(make_job("1", gpus="1", time="1h"), submitted_at=0.0)
    snapshot = make_snapshot([late], [make_node(gpus=1)], running=[holding_job("9", "n1", "n1-0")])
    reservation = decide(snapshot, LATE).reservation
    assert reservation is not None
    assert not reservation.certain


def test_who_comes_back_after_a_stop_waits_anew() -> None:
    attempt = Attempt(1, "n1", (), "", 10.0, 5000.0, None, EndReason.PREEMPTED, "", "7")
    job = replace(make_job("1"), submitted_at=0.0, attempts=(attempt,))
    assert waiting_since(job) == 5000.0
    assert waiting_since(replace(job, not_before=6000.0)) == 6000.0


def test_the_oldest_late_job_is_promised_one_run_and_each_before_another_adds_one() -> None:
    first = replace(make_job("1", gpus="2", time="1h"), submitted_at=0.0)
    second = replace(make_job("2", gpus="1", time="1h"), submitted_at=10.0)
    running = [holding_job("9", "n1", "n1-0", "n1-1", started_at=9000, time="1h")]
    snapshot = make_snapshot([first, second], [make_node(gpus=2)], running=running)
    one = 7200.0 + LONGEST_GRACE
    assert bound_of(first, snapshot, LATE, 7200.0) == one
    assert bound_of(second, snapshot, LATE, 7200.0) == 2 * one
    young = replace(snapshot, now=1000.0)
    assert bound_of(first, young, LATE, 7200.0) == 2600.0 + one


def test_nothing_is_promised_until_a_reservation_of_nodes_is_over() -> None:
    job = replace(make_job("1", gpus="1", time="1h"), submitted_at=0.0)
    snapshot = make_snapshot([job], [make_node(gpus=1)])
    kept = replace(LATE, windows=(Window("course", (), ("hana",), 500.0, snapshot.now + 1),))
    assert bound_of(job, snapshot, kept, 3600.0) is None
    assert bound_of(job, replace(snapshot, now=snapshot.now + 1), kept, 3600.0) is not None


@pytest.mark.parametrize("case", ["its image is nowhere", "its machines are away", "the cap is too small"])
def test_what_comes_free_under_a_cap_is_kept_for_a_late_job_only_if_it_could_run(case: str) -> None:
    late = replace(make_job("1", gpus="a100:2", time="1h", image="big:1"), submitted_at=0.0)
    young = replace(make_job("2", gpus="1", time="1h"), submitted_at=9999.0)
    large = make_node("n1", gpus=2, model="NVIDIA A100")
    running = [holding_job("9", "n2", "n2-0", started_at=9000, time="1h")]
    rules = replace(LATE, cap=Caps(gpus=2))
    snapshot = make_snapshot([late, young], [large, make_node("n2", gpus=2)], running=running)
    assert not decide(snapshot, rules).starts
    if case == "its image is nowhere":
        snapshot = replace(snapshot, images={**snapshot.images, late.image_key: Image(late.image_key)})
    elif case == "its machines are away":
        snapshot = replace(snapshot, nodes=[replace(large, drained="a fan"), snapshot.nodes[1]])
    else:
        late = replace(make_job("1", gpus="a100:3", time="1h"), submitted_at=0.0)
        snapshot = make_snapshot([late, young], [make_node("n1", gpus=3, model="NVIDIA A100"), snapshot.nodes[1]], running=running)  # fmt: skip
    assert [start.job.id for start in decide(snapshot, rules).starts] == ["2"]


@pytest.mark.parametrize(
    "case",
    [
        "no bound", "no site maximum", "one runs without a limit", "no image", "its image is where it cannot run",
        "a cap forbids it", "not waiting for room",
    ],
)  # fmt: skip
def test_nothing_is_promised_that_could_be_broken(case: str) -> None:
    job: Job = replace(make_job("1", gpus="1", time="1h"), submitted_at=0.0)
    running = holding_job("9", "n1", "n1-0", started_at=9000, time="1h")
    nodes = [make_node("n1", gpus=1), make_node("n2")]
    snapshot, rules, most = make_snapshot([job], nodes, running=[running]), LATE, 3600.0
    assert bound_of(job, snapshot, rules, most) is not None
    match case:
        case "no bound":
            rules = replace(LATE, bound=None)
        case "no site maximum":
            assert bound_of(job, snapshot, rules, None) is None
            return
        case "one runs without a limit":
            snapshot = replace(snapshot, holding={"n1": (holding_job("9", "n1", "n1-0"),)})
        case "no image":
            snapshot = replace(snapshot, images={})
        case "its image is where it cannot run":
            at = {"n2": ImageOnNode("ready", 0.0, "sha256:1")}
            snapshot = replace(snapshot, images={job.image_key: Image(job.image_key, at)})
        case "a cap forbids it":
            rules = replace(LATE, cap=Caps(gpus=0.5))
        case _:
            snapshot = make_snapshot([], nodes, running=[running], held=[job])
    assert bound_of(job, snapshot, rules, most) is None


def test_an_older_job_that_is_held_back_counts_twice_and_so_does_all_where_there_are_caps() -> None:
    older = replace(make_job("1", gpus="1", time="1h", image="other:1"), submitted_at=0.0)
    job = replace(make_job("2", gpus="1", time="1h"), submitted_at=5.0)
    snapshot = make_snapshot([older, job], [make_node("n1", gpus=1), make_node("n2")])
    turn = 3600.0 + LONGEST_GRACE
    assert bound_of(job, snapshot, LATE, 3600.0) == 2 * turn
    at = {"n2": ImageOnNode("ready", 0.0, "sha256:1")}  # where it cannot run
    away = replace(snapshot, images={**snapshot.images, older.image_key: Image(older.image_key, at)})
    assert bound_of(job, away, LATE, 3600.0) == 3 * turn
    assert bound_of(job, snapshot, replace(LATE, cap=Caps(gpus=1)), 3600.0) == 4 * turn
