"""A job that waits in vain is told of once for each time that there is nothing for it, and only while it waits."""

from __future__ import annotations

from dataclasses import replace

from builders import make_job, make_node, make_snapshot

from labq import moves
from labq.ending import EndReason, Judgement
from labq.job import Job
from labq.node import Node
from labq.store import Store
from labq_scheduler.stuck import EVERY, GAP, PATIENCE, StuckWatch

#: Looks from the first that finds nothing for a job to the one that tells.
TURNS = int(PATIENCE / EVERY)
BIG, SMALL = make_node(gpus=4), make_node(gpus=1)


def submit(store: Store) -> Job:
    big = replace(make_job(gpus="4"), submitted_at=0.0)
    return store.jobs.get(store.jobs.submit(big, indices=None, now=0.0).id)


def look(watch: StuckWatch, job: Job, at: float, node: Node, watching_since: float = 0.0) -> None:
    seen = make_snapshot([job], [replace(node, heartbeat=at)], now=at)
    watch.look(seen, watching_since=watching_since, elapsed=at)


def told(store: Store) -> list[str]:
    return [event.fields["id"] for event in store.events.read("0-0") if event.type == "waiting"]


def test_its_owner_is_told_once_however_often_the_server_starts_anew(store: Store) -> None:
    job = submit(store)
    for begin in (0.0, 5000.0):
        watch = StuckWatch(store)
        for turn in range(TURNS + 5):
            look(watch, job, begin + turn * EVERY, SMALL)
    (event,) = [event.fields for event in store.events.read("0-0") if event.type == "waiting"]
    assert (event["id"], event["owner"]) == (job.id, job.owner)
    assert "no single node has 4 GPUs" in event["why"]


def test_one_that_has_ended_meanwhile_is_told_of_nothing(store: Store) -> None:
    job = submit(store)
    over = moves.ended(job, Judgement(EndReason.CANCELLED_BY_USER, "Cancelled."), None, 1.0)
    store.jobs.move(job, over, now=1.0, by="ann")
    watch = StuckWatch(store)
    for turn in range(TURNS + 2):
        look(watch, job, turn * EVERY, SMALL)
    assert told(store) == []


def test_a_machine_that_reboots_is_told_to_nobody_however_long_they_have_waited(store: Store) -> None:
    job, watch = submit(store), StuckWatch(store)
    begin = 86_400.0
    for turn in range(40):  # nine minutes away, one there, and again
        look(watch, job, begin + turn * EVERY, BIG if turn % TURNS == 0 else SMALL)
    assert told(store) == []


def test_who_was_told_is_told_again_when_the_machine_came_and_went_once_more(store: Store) -> None:
    job, watch = submit(store), StuckWatch(store)
    for turn in range(TURNS + 1):
        look(watch, job, turn * EVERY, SMALL)
    assert told(store) == [job.id]
    # A server that has just started knows of it, too.
    for first in (2000.0, 4000.0):
        watch = StuckWatch(store) if first == 4000.0 else watch
        look(watch, job, first, BIG)
        for turn in range(1, TURNS + 2):
            look(watch, job, first + turn * EVERY, SMALL)
    assert told(store) == [job.id] * 3


def test_what_a_server_saw_before_another_one_led_says_nothing_of_now(store: Store) -> None:
    job, watch = submit(store), StuckWatch(store)
    look(watch, job, 0.0, SMALL)
    look(watch, job, PATIENCE + GAP, SMALL)
    assert told(store) == []
