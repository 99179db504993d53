"""GPUs that are used outside the queue are busy for it, and the person is named."""

from __future__ import annotations

from builders import holding_job, make_job, make_node

from labq.image import Image, ImageOnNode
from labq.job import Job
from labq.node import Node
from labq_scheduler.decide import decide
from labq_scheduler.policy.outside import Outside, outside_text, outside_use
from labq_scheduler.snapshot import Rules, Snapshot, class_key

NOW = 10_000.0
BOB = Outside("bob", "web", NOW - 7200)


def snapshot(jobs: list[Job], node: Node, outside: dict[str, tuple[Outside, ...]], *holding: Job) -> Snapshot:
    pending: dict[object, list[Job]] = {}
    for job in jobs:
        pending.setdefault(class_key(job.spec, job.image_key), []).append(job)
    images = {job.image_key: Image(job.image_key, {node.name: ImageOnNode("ready", 1.0)}) for job in jobs}
    return Snapshot(NOW, [node], {node.name: list(holding)}, pending, [], {}, images, {node.name: outside})  # type: ignore[arg-type]


def test_a_job_starts_on_the_gpu_that_nobody_uses() -> None:
    node = make_node(gpus=2)
    (start,) = decide(snapshot([make_job("1", gpus="1")], node, {"n1-0": (BOB,)}), Rules()).starts
    assert [hold.uuid for hold in start.fit.gpus] == ["n1-1"]


def test_a_job_without_gpus_does_not_care() -> None:
    found = decide(snapshot([make_job("1")], make_node(gpus=1), {"n1-0": (BOB,)}), Rules())
    assert len(found.starts) == 1


def test_a_job_that_waits_for_it_is_told_who_uses_it_and_may_not_be_refused() -> None:
    job = make_job("1", gpus="2")
    found = decide(snapshot([job], make_node(gpus=2), {"n1-0": (BOB,)}), Rules())
    assert (found.starts, found.refusals) == ((), ())
    (why,) = found.waits.values()
    assert "n1 has 1 of 2 GPUs free" in why
    assert "GPU 0 is used outside the queue by bob (container web, for 2h" in why


def test_the_place_of_a_job_that_needs_it_is_reserved_all_the_same() -> None:
    big, small = make_job("1", gpus="2"), make_job("2", gpus="1", time=30 * 86400)
    found = decide(snapshot([big, small], make_node(gpus=2), {"n1-0": (BOB,)}), Rules())
    assert found.reservation is not None
    assert (found.reservation.job.id, found.reservation.certain) == ("1", False)
    assert found.starts == ()  # the small one would hold the other GPU for a month


def test_use_beside_a_job_on_its_own_gpu_gives_nothing_back_when_the_job_ends() -> None:
    running = holding_job("3", "n1", "n1-0", started_at=NOW - 60, time=600)
    job = make_job("1", gpus="2")
    found = decide(snapshot([job], make_node(gpus=2), {"n1-0": (BOB,)}, running), Rules())
    assert found.reservation is not None
    assert found.reservation.start > NOW + 3600


def test_what_a_heartbeat_says_of_jobs_is_not_outside() -> None:
    holders = [{"user": "ann", "job": "7"}, {"user": "bob", "container": "web", "since": 5.0}]
    found = outside_use([(make_node(gpus=1), {"gpus": {"n1-0": {"holders": holders}, "n1-1": {}}})])
    assert found == {"n1": {"n1-0": (Outside("bob", "web", 5.0),)}}
    assert outside_use([(make_node(), {})]) == {}


def test_somebody_unknown_is_called_so() -> None:
    assert outside_text("0.1", [Outside("unknown"), BOB], NOW) == (
        "GPU 0.1 is used outside the queue by somebody unknown and 1 more"
    )
