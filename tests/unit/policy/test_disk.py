"""Disk of a node as a hard sum: where a job that asks for some fits, whom it waits for, and what it is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from builders import GB, holding_job, make_job, make_node, make_snapshot, make_spec

from labq.job import Job
from labq.node import Node
from labq_scheduler.decide import decide
from labq_scheduler.policy.fit import nearest_fit
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.room import Room, held_by
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.shape import shape_of
from labq_scheduler.policy.why import why_waiting
from labq_scheduler.snapshot import Snapshot, class_key


def with_disk(size: int | None, name: str = "n1", gpus: int = 0) -> Node:
    return replace(make_node(name, gpus=gpus), disk=size)


def holder(size: int, job_id: str = "1", node: str = "n1") -> Job:
    return replace(holding_job(job_id, node, time="1h", disk=f"{size // GB}GB"), disk=size, owner="ann")


def waiting(disk: str | None, job_id: str = "2") -> Job:
    asks: dict[str, Any] = {} if disk is None else {"disk": disk}
    return make_job(job_id, gpus="0", **asks)


def said(seen: Snapshot) -> str | None:
    (jobs,) = seen.queue.jobs
    return why_waiting(class_key(jobs[0], seen.runtimes), jobs[0], seen, decide(seen, Rules()))


def started(seen: Snapshot, ground: Ground | None = None) -> list[tuple[str, str, int]]:
    found = decide(seen, Rules(), Ground() if ground is None else ground)
    return [(start.job.id, start.node, start.fit.disk) for start in found.starts]


def test_the_promises_of_a_node_are_never_more_than_its_disk() -> None:
    jobs = [waiting("40GB", str(number)) for number in range(2, 6)]
    assert [node for _, node, _ in started(make_snapshot(jobs, [with_disk(100 * GB)]))] == ["n1", "n1"]


def test_what_is_given_back_is_there_again() -> None:
    room, shape = Room.empty(with_disk(100 * GB)), shape_of(make_spec(gpus="0", disk="60GB"))
    held = held_by(holder(60 * GB))
    room.take(held)
    assert (room.fits(shape), room.copy().fits(shape)) == (None, None)
    room.give_back(held)
    assert room.fits(shape) == room.copy().fits(shape)
    assert room.fits(shape) is not None


def test_who_asks_for_no_disk_starts_though_the_disk_has_shrunk_below_what_is_promised() -> None:
    seen = make_snapshot([waiting(None)], [with_disk(10 * GB)], running=[holder(50 * GB)])
    assert started(seen) == [("2", "n1", 0)]


def test_a_node_that_does_not_tell_its_disk_gets_no_job_that_asks_for_some() -> None:
    seen = make_snapshot([waiting("1GB")], [with_disk(None), with_disk(2 * GB, "n2")])
    assert started(seen) == [("2", "n2", GB)]


def test_the_sentence_names_what_is_asked_what_is_free_and_who_holds_it() -> None:
    seen = make_snapshot([waiting("200GB")], [with_disk(300 * GB)], running=[holder(250 * GB)])
    found = said(seen)
    assert found is not None
    assert found.startswith(
        "it needs 1 core and 200GB of disk; n1 has 50GB of disk free (held by ann's 1); it is next"
    )


def test_the_reservation_of_a_job_that_waits_for_disk_keeps_it_from_those_behind() -> None:
    first, second = waiting("90GB"), waiting("20GB", "3")
    seen = make_snapshot([first, second], [with_disk(100 * GB)], running=[holder(50 * GB)])
    found = decide(seen, Rules())
    assert found.reservation is not None
    assert (found.reservation.job.id, found.reservation.fit.disk) == ("2", 90 * GB)
    assert not found.starts


def test_what_was_remembered_of_a_node_is_forgotten_when_its_disk_grows() -> None:
    ground, job = Ground(), waiting("20GB")
    assert started(make_snapshot([job], [with_disk(10 * GB)]), ground) == []
    assert started(make_snapshot([job], [with_disk(30 * GB)]), ground) == [("2", "n1", 20 * GB)]


def test_nodes_that_differ_in_disk_alone_are_told_apart() -> None:
    seen = make_snapshot([waiting("20GB")], [with_disk(10 * GB), with_disk(30 * GB, "n2")])
    assert started(seen) == [("2", "n2", 20 * GB)]


def test_whoever_holds_the_disk_yields_to_an_urgent_job() -> None:
    job = make_job("2", gpus="0", disk="90GB", priority="urgent")
    holding = holding_job("1", "n1", preemptible=True, priority="low", disk="50GB")
    running = [replace(holding, disk=50 * GB), holding_job("3", "n1", preemptible=True, priority="low")]
    found = decide(make_snapshot([job], [with_disk(100 * GB)], running=running), Rules())
    assert [preempt.job.id for preempt in found.preempts] == ["1"]


def test_a_request_that_no_disk_holds_is_told_the_nearest() -> None:
    nodes = [with_disk(50 * GB + 5), with_disk(20 * GB, "n2")]
    text = "no node has 200GB of disk for jobs; the largest, n1, has 50GB: --disk 50GB would fit"
    assert nearest_fit(make_spec(gpus="0", disk="200GB"), nodes) == text
    assert nearest_fit(make_spec(gpus="0", disk="50GB"), nodes) is None


def test_where_no_node_tells_its_disk_it_is_said_so() -> None:
    text = "no node tells how much disk jobs may use there; without --disk it would run"
    assert nearest_fit(make_spec(gpus="0", disk="1GB"), [with_disk(None)]) == text


def test_of_the_nodes_that_have_the_gpus_the_one_with_most_disk_is_named() -> None:
    found = nearest_fit(make_spec(gpus="1", disk="90GB"), [with_disk(99 * GB), with_disk(30 * GB, "n2", 1)])
    assert found == "no such node has 90GB of disk for jobs; the largest, n2, has 30GB: --disk 30GB would fit"
