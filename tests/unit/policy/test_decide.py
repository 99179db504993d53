from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import GB, holding_job, make_job, make_node, make_snapshot

from labq.ending import EndReason
from labq.image import Image, ImageOnNode
from labq.job import Attempt, GpuHold, Job
from labq.node import Gpu
from labq.states import JobState
from labq_scheduler.decide import decide
from labq_scheduler.decisions import Decisions
from labq_scheduler.policy.rules import Caps, Passing, Rules, Weights
from labq_scheduler.policy.why import why_held, why_waiting
from labq_scheduler.snapshot import Snapshot, class_key

NOW = 10_000.0
#: Nothing counts but class and arrival.
IN_ORDER = Rules(weights=Weights(share=0.0, held=0.0, age=0.0, wide=0.0, small=0.0))


def started(decisions: Decisions) -> dict[str, str]:
    """Return the started jobs and their nodes."""
    return {start.job.id: start.node for start in decisions.starts}


def why(job: Job, snapshot: Snapshot, decisions: Decisions) -> str:
    """Return why a job waits."""
    return why_waiting(class_key(job, snapshot.runtimes), job, snapshot, decisions)


def test_a_job_starts_where_there_is_room() -> None:
    decisions = decide(make_snapshot([make_job("1", gpus="1")], [make_node("n1", gpus=2)]), Rules())
    assert started(decisions) == {"1": "n1"}
    assert [hold.uuid for hold in decisions.starts[0].fit.gpus] == ["n1-0"]


def test_the_better_priority_goes_first_then_the_earlier() -> None:
    jobs = [make_job("1", gpus="1", priority="low"), make_job("2", gpus="1"), make_job("3", gpus="1"), make_job("4", gpus="1", priority="urgent")]  # fmt: skip
    decisions = decide(make_snapshot(jobs, [make_node("n1", gpus=2, cpus=64)]), Rules())
    assert list(started(decisions)) == ["4", "2"]


def test_a_better_class_goes_before_any_score() -> None:
    mean, good = make_job("1", gpus="2", priority="high"), make_job("2", gpus="1", time="1m")
    seen = make_snapshot(
        [replace(mean, owner="bob"), good], [make_node("n1", gpus=2, cpus=64)], usage={"bob": 9e9}
    )
    assert list(started(decide(seen, Rules()))) == ["1"]


def test_equal_jobs_of_one_person_start_in_the_order_of_arrival_and_a_requeued_one_keeps_its_place() -> None:
    jobs = [replace(make_job(str(n), gpus="1", name="x"), owner="bob") for n in (7, 3, 12, 5)]
    again = replace(
        jobs[1], attempts=(Attempt(1, "n9", (), "l", 1.0, 9000.0, 143, EndReason.PREEMPTED, "x"),)
    )
    seen = make_snapshot([jobs[0], again, *jobs[2:]], [make_node("n1", gpus=3, cpus=64)], usage={"ann": 5.0})
    assert list(started(decide(seen, Rules()))) == ["3", "5", "7"]


@pytest.mark.parametrize(("gpus", "time", "count"), [(8, "64m", "2"), (8, "128m", "1"), (9, "2m", "2")])
def test_jobs_of_two_people_with_equal_scores_start_in_the_order_of_arrival(
    gpus: int, time: str, count: str
) -> None:
    """Ann holds as much as Ben once her first job has started; sums that round otherwise put Ben's before her second."""
    wire: dict[str, Any] = {"gpus": count, "time": time, "cpus": 0.1, "memory": "6MB"}
    ben = replace(make_job("3", **wire), owner="ben")
    runs = replace(holding_job("9", "n1", *(f"n1-{n}" for n in range(int(count)))), owner="ben")
    equal = Rules(weights=replace(Rules().weights, wide=0.0))
    seen = make_snapshot(
        [make_job("1", **wire), make_job("2", **wire), ben], [make_node(gpus=gpus)], running=[runs]
    )
    assert list(started(decide(seen, equal))) == ["1", "2", "3"]


def test_arrays_of_one_person_and_jobs_of_others_take_turns() -> None:
    array = [replace(make_job("1", gpus="1"), id=f"1.{n}", array="1", index=n) for n in range(20)]
    single = replace(make_job("2", gpus="1"), owner="bob")
    assert "2" in started(
        decide(make_snapshot([*array, single], [make_node("n1", gpus=4, cpus=64)]), Rules())
    )


def test_who_got_something_goes_behind_others_with_jobs_of_other_kinds_too() -> None:
    kinds = [make_job("1", gpus="1", cpus=1), make_job("2", gpus="1", cpus=2)]
    other = replace(make_job("3", gpus="1", cpus=1), owner="bob")
    seen = make_snapshot([*kinds, other], [make_node("n1", gpus=8)])
    assert list(started(decide(seen, Rules()))) == ["1", "3", "2"]


def test_what_runs_on_a_drained_machine_is_held_all_the_same() -> None:
    nodes = [replace(make_node("n1", gpus=2), drained="for a fan"), make_node("n2", gpus=2)]
    runs = holding_job("1", "n1", "n1-0", "n1-1")
    seen = make_snapshot([make_job("2", gpus="1")], nodes, running=[runs])
    assert started(decide(seen, Rules(cap=Caps(gpus=2.0)))) == {}
    assert started(decide(seen, Rules(cap=Caps(gpus=3.0)))) == {"2": "n2"}


def test_a_share_counts_against_the_cap_as_its_part_of_the_smallest_card_that_it_may_get() -> None:
    big = make_node("n1", gpus=1, model="NVIDIA A100", gpu_memory=80 * GB)
    seen = make_snapshot([make_job("1", gpus="share:12GB")], [big, make_node("n2", gpus=1)])
    assert started(decide(seen, Rules(cap=Caps(gpus=0.3)))) == {}
    assert started(decide(seen, Rules(cap=Caps(gpus=0.5)))) == {"1": "n2"}


def test_the_smallest_sufficient_card_is_taken() -> None:
    nodes = [make_node("big", gpus=2, model="NVIDIA A100", gpu_memory=80 * GB), make_node("small", gpus=2)]
    assert started(decide(make_snapshot([make_job("1", gpus="1")], nodes), Rules())) == {"1": "small"}
    assert started(decide(make_snapshot([make_job("1", gpus="40GB+")], nodes), Rules())) == {"1": "big"}


def test_the_first_of_the_alternatives_is_preferred() -> None:
    nodes = [make_node("a", gpus=1), make_node("b", gpus=1, model="NVIDIA A100", gpu_memory=80 * GB)]
    assert started(decide(make_snapshot([make_job("1", gpus="a100|4090")], nodes), Rules())) == {"1": "b"}


def test_a_small_job_does_not_pass_a_blocked_one_when_that_could_delay_it() -> None:
    node = make_node("n1", gpus=2, cpus=64)
    runs = holding_job("1", "n1", "n1-0", time="1h", started_at=NOW)
    large, small = make_job("2", gpus="2"), make_job("3", gpus="1")
    seen = make_snapshot([large, small], [node], running=[runs])
    decisions = decide(seen, IN_ORDER)
    assert started(decisions) == {}
    assert decisions.reservation is not None
    assert decisions.reservation.job.id == "2"
    assert "job 2 comes first" in why(small, seen, decisions)


def test_a_small_job_passes_when_its_limit_ends_before_the_reservation_starts() -> None:
    node = make_node("n1", gpus=2, cpus=64)
    runs = holding_job("1", "n1", "n1-0", time="1h", started_at=NOW)
    jobs = [make_job("2", gpus="2"), make_job("3", gpus="1", time="50m")]
    assert started(decide(make_snapshot(jobs, [node], running=[runs]), IN_ORDER)) == {"3": "n1"}


def test_a_small_job_passes_on_gpus_that_the_blocked_one_cannot_use() -> None:
    nodes = [make_node("n1", gpus=1, model="NVIDIA A100", gpu_memory=80 * GB), make_node("n2", gpus=1)]
    runs = holding_job("1", "n1", "n1-0", started_at=NOW)
    jobs = [make_job("2", gpus="a100:1"), make_job("3", gpus="1")]
    assert started(decide(make_snapshot(jobs, nodes, running=[runs]), Rules())) == {"3": "n2"}


def test_shares_fill_one_card_before_another_and_never_more_than_it_has() -> None:
    jobs = [make_job(str(n), gpus="share:10GB", cpus=1, memory="1GB") for n in range(1, 6)]
    decisions = decide(make_snapshot(jobs, [make_node("n1", gpus=2)]), Rules())
    cards = [start.fit.gpus[0].uuid for start in decisions.starts]
    assert cards == ["n1-0", "n1-0", "n1-1", "n1-1"]


def test_constraints_on_nodes_are_obeyed() -> None:
    nodes = [make_node("n1", gpus=1, rack="a"), make_node("n2", gpus=1, rack="b")]
    for text, node in [("n2", "n2"), ("!n1", "n2"), ("rack=a", "n1"), ("rack!=a", "n2")]:
        assert started(decide(make_snapshot([make_job("1", gpus="1", nodes=[text])], nodes), Rules())) == {
            "1": node
        }


@pytest.mark.parametrize("change", [{"drained": "maintenance"}, {"alive": False}, {"heartbeat": 0.0}])
def test_a_node_that_takes_no_work_gets_none_and_the_job_is_told(change: dict[str, Any]) -> None:
    node = replace(make_node("n1", gpus=1), **change)
    job = make_job("1", gpus="1")
    seen = make_snapshot([job], [node])
    decisions = decide(seen, Rules())
    assert started(decisions) == {}
    assert "away: n1 is" in why(job, seen, decisions)


def test_a_sick_gpu_is_left_alone() -> None:
    node = make_node("n1", gpus=2)
    node = replace(node, gpus=(replace(node.gpus[0], fault="Xid 79"), node.gpus[1]))
    decisions = decide(make_snapshot([make_job("1", gpus="1")], [node]), Rules())
    assert [hold.uuid for hold in decisions.starts[0].fit.gpus] == ["n1-1"]


def test_the_image_is_prepared_once_before_any_gpu_is_held() -> None:
    jobs = [make_job("1", gpus="1"), make_job("2", gpus="2")]
    decisions = decide(
        make_snapshot(jobs, [make_node("n1", gpus=2), make_node("n2", gpus=2)], ready=False), Rules()
    )
    assert started(decisions) == {}
    assert [(p.key, p.node) for p in decisions.prepares] == [("ref:busybox:latest", "n1")]


def test_a_ready_image_is_brought_to_a_free_node_while_its_own_are_full() -> None:
    nodes = [make_node("n1", gpus=1), make_node("n2", gpus=1)]
    job = make_job("2", gpus="1")
    images = {job.image_key: Image(job.image_key, {"n1": ImageOnNode("ready", 0.0, "x")})}
    decisions = decide(
        make_snapshot([job], nodes, running=[holding_job("1", "n1", "n1-0")], images=images), Rules()
    )
    assert [(p.node, started(decisions)) for p in decisions.prepares] == [("n2", {})]


def test_an_agent_that_never_answered_is_asked_again_and_one_that_works_is_not(  # a lost message costs a minute
) -> None:
    job = make_job("1")
    for age, asked in ((5.0, []), (61.0, ["n1"])):
        images = {job.image_key: Image(job.image_key, {"n1": ImageOnNode("preparing", NOW - age, run=1)})}
        decisions = decide(make_snapshot([job], [make_node("n1"), make_node("n2")], images=images), Rules())
        assert [p.node for p in decisions.prepares] == asked


def test_a_failed_build_ends_the_jobs_that_waited_for_it_but_not_a_later_try() -> None:
    spec = {"image": None, "context": "0" * 64}
    old, new = make_job("1"), make_job("5000")
    from labq.image import image_key
    from labq.spec import JobSpec

    ctx = JobSpec.from_wire({"context": "0" * 64})
    old = replace(old, spec=ctx, image_key=image_key(ctx))
    new = replace(new, spec=ctx, image_key=image_key(ctx))
    assert spec["context"] == ctx.context
    failed = ImageOnNode("failed", 3000.0, reason="image_build_failed", error="step 2 failed")
    images = {old.image_key: Image(old.image_key, {"n1": failed})}
    decisions = decide(make_snapshot([old], [make_node("n1")], images=images), Rules())
    assert [(r.job.id, r.reason) for r in decisions.refusals] == [("1", EndReason.IMAGE_BUILD_FAILED)]
    decisions = decide(make_snapshot([new], [make_node("n1")], images=images), Rules())
    assert not decisions.refusals
    assert [p.node for p in decisions.prepares] == ["n1"]


def test_a_job_whose_dependency_failed_is_refused_unless_any_end_will_do() -> None:
    strict, lenient = make_job("2", after=["1"]), make_job("3", after=["any:1"])
    decisions = decide(
        make_snapshot([], [], held=[strict, lenient], dependencies={"1": JobState.FAILED}), Rules()
    )
    assert [(r.job.id, r.reason) for r in decisions.refusals] == [("2", EndReason.DEPENDENCY_FAILED)]


@pytest.mark.parametrize(
    ("after", "state", "waits"),
    [
        ("1", JobState.RUNNING, True), ("1", JobState.FAILED, True), ("1", None, True), ("1", JobState.SUCCEEDED, False),
        ("any:1", JobState.RUNNING, True), ("any:1", JobState.FAILED, False), ("any:1", JobState.CANCELLED, False),
    ],
)  # fmt: skip
def test_a_dependency_holds_a_job_until_it_ended_as_it_must(
    after: str, state: JobState | None, waits: bool
) -> None:
    assert (why_held(make_job("2", after=[after]), NOW, {"1": state}) is not None) is waits


def test_why_says_what_is_lacking_and_who_holds_it() -> None:
    node, holds = make_node("n1", gpus=2, cpus=2), holding_job("1", "n1", "n1-0")
    large = make_job("2", gpus="2")
    seen = make_snapshot([large], [node], running=[holds])
    said = why(large, seen, decide(seen, Rules()))
    assert said == (
        "it needs 2 GPUs; n1 has 1 of 2 GPUs free (held by ann's 1); it is next, and what comes free on n1 is kept for it"
    )
    small = make_job("3", cpus=1.5)
    seen = make_snapshot([small], [node], running=[holds])
    assert why(small, seen, decide(seen, Rules())) == (
        "it needs 1.5 cores; n1 has 1 core free (held by ann's 1); "
        "it is next, and what comes free on n1 is kept for it"
    )
    behind = make_job("4", gpus="2")
    seen = make_snapshot([large, behind], [node], running=[holds])
    assert why(behind, seen, decide(seen, Rules())).endswith("; job 2 is before it")


def test_why_counts_only_gpus_that_would_do_and_tells_of_cores_what_was_asked_for() -> None:
    cards = (Gpu("n1-0", 0, "A100", 80 * GB), Gpu("n1-1", 1, "T4", 16 * GB), Gpu("n1-2", 2, "T4", 16 * GB))
    node = replace(make_node("n1", cpus=3), gpus=cards)
    holds = replace(holding_job("1", "n1", "n1-0"), cpus=2.0)

    def said(job: Job) -> str:
        seen = make_snapshot([job], [node], running=[holds])
        return why(job, seen, decide(seen, Rules())).partition(" (held by ann's 1)")[0]

    assert said(make_job("2", gpus="a100")) == "it needs 1 GPU (a100); n1 has 0 of 1 such GPUs free"
    assert said(make_job("2", gpus="a100", cpus=2)) == (
        "it needs 1 GPU (a100) and 2 cores; n1 has 0 of 1 such GPUs free and 1 core free"
    )
    assert said(make_job("2", gpus="a100", cpus=2, memory="1GB")).startswith(
        "it needs 1 GPU (a100), 2 cores and 1GB of memory; "
    )
    assert (
        said(make_job("2", gpus="t4:2"))
        == "it needs 2 GPUs (t4:2); n1 has 1 core free of the 1.8 that it gets there"
    )


def test_why_says_how_much_of_a_shared_gpu_is_left() -> None:
    shares = replace(holding_job("1", "n1", "n1-0"), gpus=(GpuHold("n1-0", 20 * GB),))
    job = make_job("2", gpus="share:8GB")
    seen = make_snapshot([job], [make_node("n1", gpus=1)], running=[shares])
    assert why(job, seen, decide(seen, Rules())).startswith(
        "it needs 8GB of a GPU; n1 has at most 4GB of a GPU free (held by ann's 1)"
    )


def test_where_nobody_may_pass_a_job_whose_machine_is_away_blocks_nobody() -> None:
    away = replace(make_node("big", gpus=4), drained="for a fan")
    strict, jobs = (
        Rules(passing=Passing.NONE),
        [make_job("1", gpus="2", priority="high"), make_job("2", gpus="1")],
    )
    assert started(decide(make_snapshot(jobs, [away, make_node("n1", gpus=1)]), strict)) == {"2": "n1"}
    busy = [holding_job("9", "n1", "n1-0")]
    assert started(decide(make_snapshot(jobs, [make_node("n1", gpus=2)], running=busy), strict)) == {}


@pytest.mark.parametrize(("limit", "hint"), [({}, "a time limit"), ({"time": "10h"}, "a shorter time limit")])
def test_why_says_that_a_shorter_limit_might_let_a_job_pass(limit: dict[str, str], hint: str) -> None:
    running = [holding_job("1", "n1", "n1-0", started_at=NOW, time="1h")]
    wide = make_job("2", gpus="2")

    def seen(**asked: Any) -> tuple[Job, Snapshot]:
        behind = make_job("3", gpus="1", cpus=1, **asked)
        return behind, make_snapshot([wide, behind], [make_node(gpus=2)], running=running)

    behind, snapshot = seen(**limit)
    said = why(behind, snapshot, decide(snapshot, IN_ORDER))
    assert said.endswith(f"; starting this one on n1 now could delay it ({hint}, --time, might let it pass)")
    _, snapshot = seen(time="30m")
    assert started(decide(snapshot, IN_ORDER)) == {"3": "n1"}


def test_of_cards_of_one_size_a_job_that_takes_any_gets_the_commonest_and_leaves_rare_ones_to_who_insists() -> (
    None
):
    cards = {"n1": ("Tesla P100", 17_071_865_856, 2), "n2": ("Tesla T4", 16_106_127_360, 2), "n3": ("Tesla T4", 16_106_127_360, 4)}  # fmt: skip
    nodes = [make_node(name, gpus=count, model=model, gpu_memory=memory) for name, (model, memory, count) in cards.items()]  # fmt: skip
    six = [make_job(str(number), gpus="1", cpus=0.1, memory="6MB") for number in range(1, 8)]
    places = started(decide(make_snapshot(six, nodes), IN_ORDER))
    assert list(places.values()) == ["n2", "n2", "n3", "n3", "n3", "n3", "n1"]
    insists = make_job("8", gpus="P100")
    assert started(decide(make_snapshot([*six[:5], insists], nodes), IN_ORDER))["8"] == "n1"
