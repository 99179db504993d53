"""Idle jobs with a real Redis, and one real job that is ended; time is told by the test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from builders import holding_job, make_node
from support.engine import BUSYBOX
from support.lab_fixtures import MakeLab
from support.nvml import MockNvml, gpu_line
from support.redis import open_redis
from support.waiting import wait_for

from labq.job import Job
from labq.node import Node
from labq.store import Store
from labq_scheduler.dispatch import Dispatcher
from labq_scheduler.idle.plan import IdleRules
from labq_scheduler.idle.watch import IdleWatch
from labq_scheduler.idle.windows import EVERY

RULES = IdleRules(600.0, 1200.0)


def reading(job: Job, *, busy: bool = False) -> dict[str, Any]:
    holder = {"user": job.owner, "job": job.id, "busy": busy}
    return {"gpus": {hold.uuid: {"memory_used": 1, "holders": [holder]} for hold in job.gpus}}


def run(
    watch: IdleWatch, node: Node, readings: Mapping[str, Any], job: Job, begin: float, end: float
) -> None:
    """Look every few seconds from ``begin`` to ``end``."""
    at = begin
    while at < end:
        heard = replace(node, heartbeat=at)
        watch.look([(heard, readings)], lambda _: {"": [job]}, now=at, elapsed=at, fence=1)
        at += EVERY


def told(store: Store) -> list[tuple[str, str, str]]:
    events = store.events.read("0-0")
    return [(e.fields["id"], e.fields["stage"], e.fields["ends_at"]) for e in events if e.type == "idle"]


def test_the_owner_is_told_once_however_often_the_server_starts_anew(redis_url: str) -> None:
    store, job, node = Store(redis_url), holding_job("1", "n1", "g0"), make_node(gpus=1)
    run(IdleWatch(store, Dispatcher(redis_url), IdleRules(600.0)), node, reading(job), job, 0.0, 3000.0)
    again = IdleWatch(store, Dispatcher(redis_url), IdleRules(600.0))
    run(again, node, reading(job), job, 3000.0, 6000.0)
    assert told(store) == [("1", "1", "")]
    # It works, and is idle again: that is new.
    run(again, node, reading(job, busy=True), job, 6000.0, 6300.0)
    run(again, node, reading(job), job, 6300.0, 9000.0)
    assert told(store) == [("1", "1", ""), ("1", "1", "")]


@pytest.mark.parametrize("turn", [1.0, 1.66, 2.4, 3.4, 4.9])
def test_a_server_whose_turns_take_long_sees_idle_jobs_all_the_same(redis_url: str, turn: float) -> None:
    store, job, node = Store(redis_url), holding_job("1", "n1", "g0"), make_node(gpus=1)
    watch = IdleWatch(store, Dispatcher(redis_url), IdleRules(600.0))
    for number in range(int(700 / turn)):
        at = 10_000.0 + number * turn
        look = [(replace(node, heartbeat=at), reading(job))]
        watch.look(look, lambda _: {"": [job]}, now=at, elapsed=at, fence=1)
    assert told(store) == [("1", "1", "")]


def test_a_clock_that_is_set_makes_nobody_idle_and_stops_no_watching(redis_url: str) -> None:
    store, job, node = Store(redis_url), holding_job("1", "n1", "g0"), make_node(gpus=1)
    watch = IdleWatch(store, Dispatcher(redis_url), IdleRules(600.0))
    elapsed = 0.0
    for wall in (10_000.0, 3.0):  # in the middle somebody sets the clock back
        for turn in range(65):
            at = wall + turn * EVERY
            look = [(replace(node, heartbeat=at), reading(job))]
            watch.look(look, lambda _: {"": [job]}, now=at, elapsed=elapsed, fence=1)
            elapsed += EVERY
    assert told(store) == [("1", "1", "")]


def test_a_job_that_is_kept_is_left_alone(redis_url: str) -> None:
    store, job, node = Store(redis_url), holding_job("1", "n1", "g0"), make_node(gpus=1)
    store.idle.keep("1", 3600.0)
    assert store.idle.kept(["1", "2"]) == {"1"}
    run(IdleWatch(store, Dispatcher(redis_url), RULES), node, reading(job), job, 0.0, 4000.0)
    assert told(store) == []


@pytest.mark.timeout(120)
def test_a_real_job_that_does_nothing_is_warned_twice_and_ended_with_that_reason(
    make_lab: MakeLab, mock_nvml: MockNvml
) -> None:
    mock_nvml.write("driver 580.95.05", gpu_line(0))
    env = mock_nvml.env()
    with open_redis() as redis:
        redis_url = redis.url
        settings = {key: env[key] for key in ("LD_LIBRARY_PATH", "LABQ_MOCK_NVML")} | {
            "LABQ_REDIS_URL": redis_url
        }
        lab = make_lab("auto", settings)
        store = Store(redis_url)
        made = lab.json("submit", "--image", BUSYBOX, "--gpus", "1", "--cpus", "0.1", "--", "sleep", "600")
        job = wait_for(
            lambda: found if (found := store.jobs.get(made["id"])).state == "running" else None, 30, "it to run",
            hint=lab.logs,
        )  # fmt: skip
        assert job is not None
        ((node, _),) = store.nodes.all_with_readings()
        wait_for(
            lambda: store.nodes.all_with_readings()[0][1]["gpus"][job.gpus[0].uuid].get("holders"), 20,
            "the heartbeat to name its holder",
        )  # fmt: skip
        ((_, readings),) = store.nodes.all_with_readings()
        fence = int(str(store.connection.client.get("labq:leader:fence")))
        watch = IdleWatch(store, Dispatcher(redis_url), RULES)
        at = job.started_at or 0.0
        for _ in range(int(1500 / EVERY)):
            heard = [(replace(node, heartbeat=at), readings)]
            watch.look(heard, lambda _: {"": [job]}, now=at, elapsed=at, fence=fence)
            at += EVERY
            if store.jobs.get(job.id).state != "running":
                break
        assert [stage for _, stage, _ in told(store)] == ["1", "2"]
        ended = lab.json("wait", job.id, check=False)
        shown = lab.json("show", job.id)
        assert (shown["state"], shown["end_reason"]) == ("failed", "idle_reclaimed"), ended
        assert "its GPUs had done nothing for too long" in shown["verdict"]
