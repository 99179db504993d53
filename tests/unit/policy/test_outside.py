"""GPUs that are used outside the queue are busy for it, and the person is named."""

from __future__ import annotations

from dataclasses import replace

from builders import holding_job, make_job, make_node, make_snapshot

from labq.ending import EndReason
from labq.image import Image, ImageOnNode
from labq.job import Attempt, Job
from labq.node import Node
from labq.states import JobState
from labq_scheduler.decide import decide
from labq_scheduler.policy.outside import LINGER, Outside, outside_text, outside_use
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.why import why_waiting
from labq_scheduler.snapshot import Snapshot, class_key

NOW = 10_000.0
BOB = Outside("bob", "web", NOW - 7200)


def snapshot(jobs: list[Job], node: Node, outside: dict[str, tuple[Outside, ...]], *holding: Job) -> Snapshot:
    images = {job.image_key: Image(job.image_key, {node.name: ImageOnNode("ready", 1.0)}) for job in jobs}
    return replace(
        make_snapshot(jobs, [node], now=NOW, running=holding, images=images), outside={node.name: outside}
    )


def why(job: Job, seen: Snapshot) -> str:
    return why_waiting(class_key(job, seen.runtimes), job, seen, decide(seen, Rules()))


def test_a_job_starts_on_the_gpu_that_nobody_uses() -> None:
    node = make_node(gpus=2)
    (start,) = decide(snapshot([make_job("1", gpus="1")], node, {"n1-0": (BOB,)}), Rules()).starts
    assert [hold.uuid for hold in start.fit.gpus] == ["n1-1"]


def test_a_job_without_gpus_does_not_care() -> None:
    found = decide(snapshot([make_job("1")], make_node(gpus=1), {"n1-0": (BOB,)}), Rules())
    assert len(found.starts) == 1


def test_a_job_that_waits_for_it_is_told_who_uses_it_and_may_not_be_refused() -> None:
    job = make_job("1", gpus="2")
    seen = snapshot([job], make_node(gpus=2), {"n1-0": (BOB,)})
    found = decide(seen, Rules())
    assert (found.starts, found.refusals) == ((), ())
    assert "n1 has 1 of 2 GPUs free" in why(job, seen)
    assert "GPU 0 is used outside the queue by bob (container web, for 2h" in why(job, seen)


def test_the_place_of_a_job_that_needs_it_is_reserved_all_the_same() -> None:
    big, small = make_job("1", gpus="2"), make_job("2", gpus="1", time=30 * 86400)
    found = decide(snapshot([big, small], make_node(gpus=2), {"n1-0": (BOB,)}), Rules())
    assert found.reservation is not None
    assert (found.reservation.job.id, found.reservation.certain) == ("1", False)
    assert found.starts == ()  # the small one would hold the other GPU for a month


def test_who_waits_for_somebody_outside_the_queue_takes_nobody_elses_reservation() -> None:
    """They may never go; meanwhile a stream of small jobs would pass all wide ones."""
    nodes = [make_node("n1", gpus=2), make_node("n2", gpus=4)]
    stuck = make_job("1", gpus="2", nodes=["n1"], priority="high")
    wide, small = make_job("2", gpus="4", priority="high"), make_job("3", gpus="1", nodes=["n2"])
    busy = [holding_job(str(90 + gpu), "n2", f"n2-{gpu}", started_at=NOW - 60) for gpu in range(3)]
    seen = make_snapshot([stuck, wide, small], nodes, running=busy, now=NOW)
    found = decide(replace(seen, outside={"n1": {"n1-0": (BOB,)}}), Rules())
    assert found.reservation is not None
    assert (found.reservation.job.id, found.reservation.guessed, found.starts) == ("2", False, ())


def test_use_beside_a_job_on_its_own_gpu_gives_nothing_back_when_the_job_ends() -> None:
    running = holding_job("3", "n1", "n1-0", started_at=NOW - 60, time=600)
    job = make_job("1", gpus="2")
    found = decide(snapshot([job], make_node(gpus=2), {"n1-0": (BOB,)}, running), Rules())
    assert found.reservation is not None
    assert found.reservation.start > NOW + 3600


def use(holders: list[dict[str, object]], job: Job | None = None, **readings: object) -> tuple[Outside, ...]:
    said = {"gpus": {"n1-0": {"holders": holders, **readings}}}
    return outside_use([(make_node(gpus=1), said)], lambda _: job, NOW).get("n1", {}).get("n1-0", ())


def test_what_a_heartbeat_says_of_jobs_is_not_outside() -> None:
    running = holding_job("7", "n1", "n1-0")
    holders: list[dict[str, object]] = [
        {"user": "ann", "job": "7", "processes": 1},
        {"user": "bob", "container": "web", "since": 5.0},
    ]
    assert use(holders, running) == (Outside("bob", "web", 5.0),)
    assert use([]) == ()


def test_a_real_gpu_that_nobody_has_looked_at_is_not_free_and_the_owner_of_the_job_is_told() -> None:
    node = make_node(gpus=1)
    unseen = outside_use([(node, {"gpus": {}})], lambda _: None, NOW)
    job = make_job("1", gpus="1")
    seen = snapshot([job], node, dict(unseen["n1"]))
    assert decide(seen, Rules()).starts == ()
    assert "what GPU 0 does is not known yet" in why(job, seen)
    made_up = replace(node, gpus=tuple(replace(gpu, simulated=True) for gpu in node.gpus))
    assert outside_use([(made_up, {"gpus": {}})], lambda _: None, NOW) == {}


def test_processes_of_a_job_that_is_over_keep_the_gpu_once_they_had_time_to_go() -> None:
    holders: list[dict[str, object]] = [{"user": "ann", "job": "7", "processes": 1, "source": "gone"}]
    ended = replace(make_job("7", JobState.SUCCEEDED), ended_at=NOW - LINGER)
    assert use(holders, ended) == ()
    (who,) = use(holders, replace(ended, ended_at=NOW - LINGER - 1))
    assert (who.user, who.job) == ("ann", "7")
    assert "job 7 is over" in outside_text("0", [who], NOW)
    assert use(holders, None) == (who,)
    # It runs again, elsewhere: what is here is not its own any more.
    again = replace(holding_job("7", "n2", "n2-0"), attempts=(an_attempt(NOW - LINGER - 1),))
    assert use(holders, again) == (who,)
    # A lease that was given back without a process was only a heartbeat that is two seconds old.
    assert use([{"user": "ann", "job": "7"}], None) == ()


def an_attempt(ended_at: float) -> Attempt:
    return Attempt(1, "n1", ("n1-0",), "lease-0", 1.0, ended_at, None, EndReason.NODE_LOST, "Lost.")


def test_somebody_unknown_is_called_so() -> None:
    assert outside_text("0.1", [Outside("unknown"), BOB], NOW) == (
        "GPU 0.1 is used outside the queue by somebody unknown and 1 more"
    )
