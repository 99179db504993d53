from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders import GB, holding_job, make_job, make_node
from hypothesis import given, settings
from hypothesis import strategies as st

from labq.ending import EndReason
from labq.image import Image, ImageOnNode
from labq.job import Job
from labq.node import Node
from labq.states import JobState
from labq_scheduler.decide import decide
from labq_scheduler.decisions import Decisions
from labq_scheduler.policy.reserve import ASSUMED_RUN
from labq_scheduler.policy.room import Room, held_by
from labq_scheduler.policy.why import why_held
from labq_scheduler.snapshot import Rules, Snapshot, class_key

NOW = 10_000.0


def snap(
    jobs: Sequence[Job], nodes: Sequence[Node], *, running: Sequence[Job] = (), ready: bool = True,
    images: dict[str, Image] | None = None, held: Sequence[Job] = (), dependencies: dict[str, JobState | None] | None = None,
) -> Snapshot:  # fmt: skip
    """Return the lab in which ``jobs`` are pending and (unless said otherwise) every image is everywhere."""
    pending: dict[object, list[Job]] = {}
    for job in sorted(jobs, key=lambda j: (j.seq, j.index or 0)):
        pending.setdefault(class_key(job.spec, job.image_key), []).append(job)
    holding: dict[str, list[Job]] = {}
    for job in running:
        holding.setdefault(job.node or "", []).append(job)
    everywhere = {node.name: ImageOnNode("ready", 0.0, "sha256:1") for node in nodes} if ready else {}
    found = (
        images if images is not None else {job.image_key: Image(job.image_key, everywhere) for job in jobs}
    )
    return Snapshot(NOW, list(nodes), holding, pending, list(held), dependencies or {}, found)  # type: ignore[arg-type]


def started(decisions: Decisions) -> dict[str, str]:
    """Return the started jobs and their nodes."""
    return {start.job.id: start.node for start in decisions.starts}


def test_a_job_starts_where_there_is_room() -> None:
    decisions = decide(snap([make_job("1", gpus="1")], [make_node("n1", gpus=2)]), Rules())
    assert started(decisions) == {"1": "n1"}
    assert [hold.uuid for hold in decisions.starts[0].fit.gpus] == ["n1-0"]


def test_the_better_priority_goes_first_then_the_earlier() -> None:
    jobs = [make_job("1", gpus="1", priority="low"), make_job("2", gpus="1"), make_job("3", gpus="1"), make_job("4", gpus="1", priority="urgent")]  # fmt: skip
    decisions = decide(snap(jobs, [make_node("n1", gpus=2, cpus=64)]), Rules())
    assert list(started(decisions)) == ["4", "2"]


def test_the_smallest_sufficient_card_is_taken() -> None:
    nodes = [make_node("big", gpus=2, model="NVIDIA A100", gpu_memory=80 * GB), make_node("small", gpus=2)]
    assert started(decide(snap([make_job("1", gpus="1")], nodes), Rules())) == {"1": "small"}
    assert started(decide(snap([make_job("1", gpus="40GB+")], nodes), Rules())) == {"1": "big"}


def test_the_first_of_the_alternatives_is_preferred() -> None:
    nodes = [make_node("a", gpus=1), make_node("b", gpus=1, model="NVIDIA A100", gpu_memory=80 * GB)]
    assert started(decide(snap([make_job("1", gpus="a100|4090")], nodes), Rules())) == {"1": "b"}


def test_a_small_job_does_not_pass_a_blocked_one_when_that_could_delay_it() -> None:
    node = make_node("n1", gpus=2, cpus=64)
    runs = holding_job("1", "n1", "n1-0", time="1h", started_at=NOW)
    decisions = decide(
        snap([make_job("2", gpus="2"), make_job("3", gpus="1")], [node], running=[runs]), Rules()
    )
    assert started(decisions) == {}
    assert decisions.reservation is not None
    assert decisions.reservation.job.id == "2"
    assert (
        "job 2 comes first" in decisions.waits[class_key(make_job("3", gpus="1").spec, "ref:busybox:latest")]
    )


def test_a_small_job_passes_when_its_limit_ends_before_the_reservation_starts() -> None:
    node = make_node("n1", gpus=2, cpus=64)
    runs = holding_job("1", "n1", "n1-0", time="1h", started_at=NOW)
    jobs = [make_job("2", gpus="2"), make_job("3", gpus="1", time="50m")]
    assert started(decide(snap(jobs, [node], running=[runs]), Rules())) == {"3": "n1"}


def test_a_small_job_passes_on_gpus_that_the_blocked_one_cannot_use() -> None:
    nodes = [make_node("n1", gpus=1, model="NVIDIA A100", gpu_memory=80 * GB), make_node("n2", gpus=1)]
    runs = holding_job("1", "n1", "n1-0", started_at=NOW)
    jobs = [make_job("2", gpus="a100:1"), make_job("3", gpus="1")]
    assert started(decide(snap(jobs, nodes, running=[runs]), Rules())) == {"3": "n2"}


def test_shares_fill_one_card_before_another_and_never_more_than_it_has() -> None:
    jobs = [make_job(str(n), gpus="share:10GB", cpus=1, memory="1GB") for n in range(1, 6)]
    decisions = decide(snap(jobs, [make_node("n1", gpus=2)]), Rules())
    cards = [start.fit.gpus[0].uuid for start in decisions.starts]
    assert cards == ["n1-0", "n1-0", "n1-1", "n1-1"]


def test_constraints_on_nodes_are_obeyed() -> None:
    nodes = [make_node("n1", gpus=1, rack="a"), make_node("n2", gpus=1, rack="b")]
    for text, node in [("n2", "n2"), ("!n1", "n2"), ("rack=a", "n1"), ("rack!=a", "n2")]:
        assert started(decide(snap([make_job("1", gpus="1", nodes=[text])], nodes), Rules())) == {"1": node}


@pytest.mark.parametrize("change", [{"drained": "maintenance"}, {"alive": False}, {"heartbeat": 0.0}])
def test_a_node_that_takes_no_work_gets_none_and_the_job_is_told(change: dict[str, Any]) -> None:
    node = replace(make_node("n1", gpus=1), **change)
    decisions = decide(snap([make_job("1", gpus="1")], [node]), Rules())
    assert started(decisions) == {}
    assert "away: n1 is" in next(iter(decisions.waits.values()))


def test_a_sick_gpu_is_left_alone() -> None:
    node = make_node("n1", gpus=2)
    node = replace(node, gpus=(replace(node.gpus[0], fault="Xid 79"), node.gpus[1]))
    decisions = decide(snap([make_job("1", gpus="1")], [node]), Rules())
    assert [hold.uuid for hold in decisions.starts[0].fit.gpus] == ["n1-1"]


def test_the_image_is_prepared_once_before_any_gpu_is_held() -> None:
    jobs = [make_job("1", gpus="1"), make_job("2", gpus="2")]
    decisions = decide(snap(jobs, [make_node("n1", gpus=2), make_node("n2", gpus=2)], ready=False), Rules())
    assert started(decisions) == {}
    assert [(p.key, p.node) for p in decisions.prepares] == [("ref:busybox:latest", "n1")]


def test_a_ready_image_is_brought_to_a_free_node_while_its_own_are_full() -> None:
    nodes = [make_node("n1", gpus=1), make_node("n2", gpus=1)]
    job = make_job("2", gpus="1")
    images = {job.image_key: Image(job.image_key, {"n1": ImageOnNode("ready", 0.0, "x")})}
    decisions = decide(snap([job], nodes, running=[holding_job("1", "n1", "n1-0")], images=images), Rules())
    assert [(p.node, started(decisions)) for p in decisions.prepares] == [("n2", {})]


def test_an_agent_that_never_answered_is_asked_again_and_one_that_works_is_not(  # a lost message costs a minute
) -> None:
    job = make_job("1")
    for age, asked in ((5.0, []), (61.0, ["n1"])):
        images = {job.image_key: Image(job.image_key, {"n1": ImageOnNode("preparing", NOW - age, run=1)})}
        decisions = decide(snap([job], [make_node("n1"), make_node("n2")], images=images), Rules())
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
    decisions = decide(snap([old], [make_node("n1")], images=images), Rules())
    assert [(r.job.id, r.reason) for r in decisions.refusals] == [("1", EndReason.IMAGE_BUILD_FAILED)]
    decisions = decide(snap([new], [make_node("n1")], images=images), Rules())
    assert not decisions.refusals
    assert [p.node for p in decisions.prepares] == ["n1"]


def test_a_job_whose_dependency_failed_is_refused_unless_any_end_will_do() -> None:
    strict, lenient = make_job("2", after=["1"]), make_job("3", after=["any:1"])
    decisions = decide(snap([], [], held=[strict, lenient], dependencies={"1": JobState.FAILED}), Rules())
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
    node = make_node("n1", gpus=2, cpus=2)
    key = class_key(make_job("2", gpus="2").spec, "ref:busybox:latest")
    decisions = decide(
        snap([make_job("2", gpus="2")], [node], running=[holding_job("1", "n1", "n1-0")]), Rules()
    )
    assert decisions.waits[key].startswith(
        "it needs 2 GPUs; n1 has 1 of 2 GPUs free and 1 of the 1.8 cores free"
    )
    assert decisions.waits[key].endswith("(held by ann's 1)")
    small = make_job("3", cpus=1.5)
    decisions = decide(snap([small], [node], running=[holding_job("1", "n1", "n1-0")]), Rules())
    assert decisions.waits[class_key(small.spec, small.image_key)] == (
        "it needs 1.5 cores; n1 has 1 of the 1.5 cores free that it gets there (held by ann's 1)"
    )


# -- properties ------------------------------------------------------------------------------------------

REQUESTS = st.sampled_from(
    ["0", "1", "2", "4", "a100:1", "4090:2", "40GB+", "share:8GB", "share:20GB", "a100|4090:2"]
)
JOBS = st.lists(
    st.fixed_dictionaries(
        {"gpus": REQUESTS},
        optional={
            "cpus": st.sampled_from([0.5, 1, 4, 16]),
            "memory": st.sampled_from(["1GB", "16GB", "60GB"]),
            "time": st.sampled_from(["10m", "2h"]),
            "priority": st.sampled_from(["urgent", "normal", "low"]),
            "nodes": st.sampled_from([["n0"], ["!n1"]]),
        },
    ),
    max_size=25,
)
NODES = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from(["NVIDIA A100", "NVIDIA GeForce RTX 4090"]),
        st.sampled_from([4, 16]),
    ),
    min_size=1,
    max_size=4,
)


def _lab(nodes: list[tuple[int, str, int]]) -> list[Node]:
    return [
        make_node(f"n{i}", gpus=gpus, model=model, gpu_memory=(80 if "A100" in model else 24) * GB, cpus=cpus)
        for i, (gpus, model, cpus) in enumerate(nodes)
    ]


@given(JOBS, NODES)
@settings(max_examples=150, deadline=None)
def test_nothing_is_ever_oversubscribed_and_every_waiting_job_has_a_why(
    wires: list[dict[str, Any]], kinds: list[tuple[int, str, int]]
) -> None:
    nodes = _lab(kinds)
    jobs = [make_job(str(n), **wire) for n, wire in enumerate(wires, 1)]
    decisions = decide(snap(jobs, nodes), Rules())
    rooms = {node.name: Room.empty(node) for node in nodes}
    for start in decisions.starts:
        rooms[start.node].take(start.fit)
    for room in rooms.values():
        assert room.cpus >= -0.01
        assert room.memory >= 0
        assert all(free >= 0 for free in room.gpus.values())
    for start in decisions.starts:
        sizes = {gpu.uuid: gpu for node in nodes for gpu in node.gpus}
        assert len({hold.uuid for hold in start.fit.gpus}) == start.job.spec.gpus.count
        assert all(
            start.job.spec.gpus.accepts(sizes[h.uuid].model, sizes[h.uuid].memory) for h in start.fit.gpus
        )
    running = {start.job.id for start in decisions.starts}
    for job in jobs:
        if job.id not in running:
            assert decisions.waits[class_key(job.spec, job.image_key)]


@given(JOBS, NODES, st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_the_same_lab_in_another_order_gives_the_same_decision(
    wires: list[dict[str, Any]], kinds: list[tuple[int, str, int]], shuffle: random.Random
) -> None:
    nodes = _lab(kinds)
    jobs = [make_job(str(n), **wire) for n, wire in enumerate(wires, 1)]
    first = decide(snap(jobs, nodes), Rules())
    mixed = snap(jobs, nodes)
    keys = list(mixed.pending)
    shuffle.shuffle(keys)
    other_nodes = list(nodes)
    shuffle.shuffle(other_nodes)
    again = decide(
        replace(mixed, nodes=other_nodes, pending={key: mixed.pending[key] for key in keys}), Rules()
    )
    assert [(s.job.id, s.node, s.fit) for s in again.starts] == [
        (s.job.id, s.node, s.fit) for s in first.starts
    ]
    assert again.waits == first.waits


@given(JOBS, st.lists(st.sampled_from(["10m", "1h", "3h"]), min_size=2, max_size=2))
@settings(max_examples=120, deadline=None)
def test_a_job_that_passes_never_delays_the_reservation_when_limits_are_true(
    wires: list[dict[str, Any]], limits: list[str]
) -> None:
    nodes = [make_node("n0", gpus=4, cpus=64), make_node("n1", gpus=2, cpus=64)]
    busy = [holding_job("900", "n0", "n0-0", "n0-1", time=limits[0], started_at=NOW), holding_job("901", "n1", "n1-0", time=limits[1], started_at=NOW)]  # fmt: skip
    jobs = [make_job("1", gpus="4")] + [make_job(str(n), **wire) for n, wire in enumerate(wires, 2)]
    decisions = decide(snap(jobs, nodes, running=busy), Rules())
    kept = decisions.reservation
    if kept is None:
        return
    room = Room.empty(next(node for node in nodes if node.name == kept.node))
    for job in busy:
        if (
            job.node == kept.node
            and job.spec.time is not None
            and NOW + job.spec.time + job.spec.grace > kept.start
        ):
            room.take(held_by(job))
    for start in decisions.starts:
        if "passing" in start.why:
            ends = NOW + start.job.spec.time + start.job.spec.grace if start.job.spec.time else float("inf")
        else:  # it started before the reservation was made, which is planned on its estimated end
            ends = NOW + (start.job.spec.time + start.job.spec.grace if start.job.spec.time else ASSUMED_RUN)
        if start.node == kept.node and ends > kept.start:
            room.take(start.fit)
    assert room.fit(kept.job.spec) is not None
