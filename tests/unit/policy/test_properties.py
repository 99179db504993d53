"""What holds of every decision, whatever the lab looks like."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from builders import GB, holding_job, make_job, make_node, make_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from labq.job import GpuHold, Job
from labq.neighbours import Neighbours
from labq.node import Node
from labq_scheduler.decide import decide
from labq_scheduler.decisions import Decisions
from labq_scheduler.policy.room import Room, held_by
from labq_scheduler.policy.rules import Caps, Rules
from labq_scheduler.policy.why import why_waiting
from labq_scheduler.simulate.estimators import Oracle
from labq_scheduler.snapshot import Columns, Queue, Snapshot, class_key

NOW = 10_000.0
REQUESTS = st.sampled_from(
    ["0", "1", "2", "4", "a100:1", "4090:2", "40GB+", "share:8GB", "share:20GB", "a100|4090:2"]
)
JOBS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "eve"]),
        st.fixed_dictionaries(
            {"gpus": REQUESTS},
            optional={
                "cpus": st.sampled_from([0.5, 1, 4, 16]),
                "memory": st.sampled_from(["1GB", "16GB", "60GB"]),
                "disk": st.sampled_from(["10GB", "70GB"]),
                "time": st.sampled_from(["10m", "2h"]),
                "priority": st.sampled_from(["urgent", "normal", "low"]),
                "nodes": st.sampled_from([["n0"], ["!n1"]]),
            },
        ),
    ),
    min_size=4,
    max_size=25,
)
NODES = st.lists(
    st.tuples(
        st.sampled_from([4, 2, 1, 0]),
        st.sampled_from(["NVIDIA A100", "NVIDIA GeForce RTX 4090"]),
        st.sampled_from([16, 4]),
    ),
    min_size=1,
    max_size=4,
)
RULES = st.builds(
    Rules,
    bound=st.sampled_from([None, 8995.0]),  # some of the jobs are beyond it
    caps=st.sampled_from([{}, {"ann": Caps(gpus=2.0)}, {"bob": Caps(jobs=2)}]),
    cap=st.sampled_from([Caps(), Caps(gpus=3.5, jobs=5)]),
    groups=st.sampled_from([{}, {"ann": "vision", "bob": "vision"}]),
    group_caps=st.sampled_from([{}, {"vision": Caps(gpus=4.0)}]),
)
USAGE = st.fixed_dictionaries({}, optional=dict.fromkeys(["ann", "bob"], st.sampled_from([0.0, 5e5, 7e6])))


def lab(nodes: list[tuple[int, str, int]]) -> list[Node]:
    """Return the machines; of those with A100, the first GPU and the last are joined by NVLink, and those between."""
    made = [
        make_node(f"n{i}", gpus=gpus, model=model, gpu_memory=(80 if "A100" in model else 24) * GB, cpus=cpus)
        for i, (gpus, model, cpus) in enumerate(nodes)
    ]
    made = [replace(node, disk=(100 * GB, None)[number % 3 // 2]) for number, node in enumerate(made)]
    return [replace(node, near=_pairs(node)) if "A100" in str(node.gpus) else node for node in made]


def _pairs(node: Node) -> Neighbours:
    uuids = [gpu.uuid for gpu in node.gpus]
    return Neighbours.from_wire({"nvlink": [[uuids[0], uuids[-1]], uuids[1:-1]]}, uuids)


def queue_of(wires: list[tuple[str, dict[str, Any]]]) -> list[Job]:
    """Return the jobs, each of its person."""
    return [replace(make_job(str(n), **wire), owner=owner) for n, (owner, wire) in enumerate(wires, 1)]


def said(decisions: Decisions) -> tuple[object, ...]:
    """Return all that follows from a decision."""
    kept = decisions.reservation
    return (
        [(start.job.id, start.node, start.fit, start.why) for start in decisions.starts],
        decisions.prepares,
        [(refusal.job.id, refusal.why) for refusal in decisions.refusals],
        None if kept is None else replace(kept, spare={}),
        dict(decisions.said),
        decisions.preempts,
    )  # fmt: skip


def whys(seen: Snapshot, decisions: Decisions) -> dict[str, str]:
    """Return why each job waits that was not started."""
    gone = {start.job.id for start in decisions.starts} | {r.job.id for r in decisions.refusals}
    return {
        job.id: why_waiting(class_key(job, seen.runtimes), job, seen, decisions)
        for jobs in seen.queue.jobs
        for job in jobs
        if job.id not in gone
    }


@given(JOBS, NODES, RULES, USAGE)
@settings(max_examples=200, deadline=None)
def test_nothing_is_ever_oversubscribed_and_every_waiting_job_has_a_why(
    wires: list[tuple[str, dict[str, Any]]],
    kinds: list[tuple[int, str, int]],
    rules: Rules,
    usage: dict[str, float],
) -> None:
    nodes = lab(kinds)
    busy = [
        replace(holding_job("900", "n0", "n0-0"), owner="eve") for node in nodes[:1] if node.gpus
    ]  # fmt: skip
    seen = make_snapshot(queue_of(wires), nodes, now=NOW, running=busy, usage=usage)
    decisions = decide(seen, rules)
    rooms = {node.name: Room.empty(node) for node in nodes}
    for job in busy:
        rooms["n0"].take(held_by(job))
    for start in decisions.starts:
        rooms[start.node].take(start.fit)
    for room in rooms.values():
        assert room.cpus >= -0.01
        assert room.memory >= 0
        assert room.disk >= 0
        assert all(free >= 0 for free in room.gpus.values())
    for start in decisions.starts:
        sizes = {gpu.uuid: gpu for node in nodes for gpu in node.gpus}
        assert len({hold.uuid for hold in start.fit.gpus}) == start.job.spec.gpus.count
        assert all(
            start.job.spec.gpus.accepts(sizes[h.uuid].model, sizes[h.uuid].memory) for h in start.fit.gpus
        )
    assert all(whys(seen, decisions).values())
    assert_caps(rules, nodes, [*busy, *(hold(start.job, start.node, start.fit.gpus) for start in decisions.starts)])  # fmt: skip


def hold(job: Job, node: str, gpus: tuple[GpuHold, ...]) -> Job:
    """Return the job when it holds them."""
    return replace(job, node=node, gpus=gpus)


def assert_caps(rules: Rules, nodes: list[Node], holding: list[Job]) -> None:
    """Fail when somebody holds more than the rules allow."""
    sizes = {gpu.uuid: gpu.memory for node in nodes for gpu in node.gpus}
    people: dict[str, list[float]] = {}
    for job in holding:
        for name in {job.owner, "@" + rules.groups.get(job.owner, "")}:
            part = sum(held.memory / sizes[held.uuid] if held.memory else 1.0 for held in job.gpus)
            people.setdefault(name, []).append(part)
    for name, parts in people.items():
        cap = rules.group_caps.get(name[1:], Caps()) if name[0] == "@" else rules.caps.get(name, rules.cap)
        assert cap.gpus is None or sum(parts) <= cap.gpus + 1e-6
        assert cap.jobs is None or len(parts) <= cap.jobs


@given(JOBS, NODES, RULES, USAGE, st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=250, deadline=None)
def test_the_same_lab_in_another_order_gives_the_same_decision(
    wires: list[tuple[str, dict[str, Any]]],
    kinds: list[tuple[int, str, int]],
    rules: Rules,
    usage: dict[str, float],
    ready: bool,
    shuffle: random.Random,
) -> None:
    nodes = lab(kinds)
    first = make_snapshot(queue_of(wires), nodes, now=NOW, usage=usage, ready=ready)
    other_nodes = list(nodes)
    shuffle.shuffle(other_nodes)
    images = dict(sorted(first.images.items(), reverse=True))
    mixed = replace(first, nodes=other_nodes, queue=shuffled(first.queue, shuffle), images=images)
    one, other = decide(first, rules), decide(mixed, rules)
    assert said(other) == said(one)
    assert whys(mixed, other) == whys(first, one)


def shuffled(queue: Queue, shuffle: random.Random) -> Queue:
    """Return the same queue with its rows, people, shapes and images in another order."""
    rows = list(range(len(queue.keys)))
    shuffle.shuffle(rows)
    columns = {
        name: [getattr(queue.columns, name)[row] for row in rows] for name in Columns.__dataclass_fields__
    }
    names: dict[str, list[Any]] = {}
    for column, title in (("user", "users"), ("shape", "shapes"), ("image", "images")):
        old = list(getattr(queue, title))
        names[title] = list(old)
        shuffle.shuffle(names[title])
        columns[column] = [names[title].index(old[number]) for number in columns[column]]
    return replace(
        queue, keys=[queue.keys[row] for row in rows], jobs=[queue.jobs[row] for row in rows], users=names["users"],
        shapes=names["shapes"], images=names["images"], columns=Columns(**columns),
    )  # fmt: skip


@given(
    st.lists(
        st.tuples(REQUESTS, st.sampled_from([300.0, 2400.0, 5000.0, 90_000.0]), st.sampled_from([1.0, 30.0])),
        max_size=12,
    ),
    st.lists(st.sampled_from([600.0, 3600.0, 10_800.0]), min_size=3, max_size=3),
    st.sampled_from([None, 8990.0]),
)
@settings(max_examples=200, deadline=None)
def test_a_job_that_passes_never_delays_the_reservation_when_estimates_are_true(
    asked: list[tuple[str, float, float]], left: list[float], bound: float | None
) -> None:
    nodes = [make_node("n0", gpus=4, cpus=64), make_node("n1", gpus=2, cpus=64)]
    busy = [
        holding_job(str(900 + n), node, *uuids, started_at=NOW, name=f"b{n}", time=left[n])
        for n, (node, *uuids) in enumerate([("n0", "n0-0", "n0-1"), ("n0", "n0-2"), ("n1", "n1-0")])
    ]
    asked = [("4", 3600.0, 40.0), *asked]
    jobs = [
        make_job(str(n), gpus=gpus, name=f"j{n}", time=lasts, cpus=cpus)
        for n, (gpus, lasts, cpus) in enumerate(asked, 1)
    ]
    truth = {f"b{n}": lasts for n, lasts in enumerate(left)}
    truth |= {f"j{n}": lasts for n, (_, lasts, _) in enumerate(asked, 1)}
    seen = make_snapshot(jobs, nodes, now=NOW, running=busy, runtimes=Oracle(truth))
    decisions = decide(seen, Rules(bound=bound))
    kept = decisions.reservation
    if kept is None:
        return
    room = Room.empty(next(node for node in nodes if node.name == kept.node))
    for job in busy:
        if job.node == kept.node and NOW + truth[job.spec.name] > kept.start:
            room.take(held_by(job))
    for start in decisions.starts:
        if start.node == kept.node and NOW + truth[start.job.spec.name] > kept.start:
            room.take(start.fit)
    room.take(kept.fit)  # on the very GPUs
    assert room.cpus >= -0.01
    assert room.memory >= 0
    assert all(free >= 0 for free in room.gpus.values())


@given(st.permutations(range(4)), st.sampled_from([0.1, 0.7]))
def test_the_order_in_which_running_jobs_are_known_changes_nothing(order: list[int], cpus: float) -> None:
    """A server that starts anew learns of them in another order."""
    busy = [
        replace(
            holding_job("9", "n0", f"n0-{n}", time=600.0), id=f"9.{n}", array="9", index=n, cpus=cpus + n / 7
        )
        for n in range(4)
    ]
    nodes = [make_node("n0", gpus=4), make_node("n1", gpus=0)]
    jobs = [make_job("20", gpus="2")]
    want = decide(make_snapshot(jobs, nodes, now=NOW, running=busy), Rules())
    got = decide(make_snapshot(jobs, nodes, now=NOW, running=[busy[n] for n in order]), Rules())
    assert said(got) == said(want)
    assert got.rooms["n0"].cpus == want.rooms["n0"].cpus
