"""A job that waits in vain is told of once, and only while it waits."""

from __future__ import annotations

from dataclasses import replace

from builders import make_job, make_node

from labq import moves
from labq.ending import EndReason, Judgement
from labq.store import Store
from labq_scheduler.snapshot import Snapshot, class_key
from labq_scheduler.stuck import EVERY, PATIENCE, StuckWatch


def test_its_owner_is_told_once_and_not_after_it_has_ended(redis_url: str) -> None:
    store = Store(redis_url)
    big = replace(make_job(gpus="4"), submitted_at=0.0)
    ids = [store.jobs.submit(big, indices=None, now=0.0).id for _ in range(2)]
    first, second = store.jobs.get_many(ids)
    watch = StuckWatch(store)
    for turn in range(5):
        at = PATIENCE + turn * EVERY
        node = make_node(gpus=1, heartbeat=at)
        pending = {class_key(first.spec, first.image_key): [second if turn > 2 else first]}
        if turn == 2:
            over = moves.ended(second, Judgement(EndReason.CANCELLED_BY_USER, "Cancelled."), None, at)
            store.jobs.move(second, over, now=at, by="ann")
        watch.look(Snapshot(at, [node], {}, pending, [], {}, {}))
    events = [event.fields for event in store.events.read("0-0") if event.type == "waiting"]
    assert [(said["id"], said["owner"]) for said in events] == [(first.id, first.owner)]
    assert "no single node has 4 GPUs" in events[0]["why"]
    # Another server begins to lead: nobody is told twice.
    StuckWatch(store).look(
        Snapshot(
            9000.0, [make_node(gpus=1)], {}, {class_key(first.spec, first.image_key): [first]}, [], {}, {}
        )
    )
    assert len([event for event in store.events.read("0-0") if event.type == "waiting"]) == 1
