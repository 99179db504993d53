"""What nobody was told of, because the notifier was away for too long, is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import make_job

from labq import moves
from labq.clock import now
from labq.ending import EndReason, Judgement
from labq.store import Store
from labq_scheduler.notify.follower import OLD, Follower


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url)


def follower(store: Store) -> Follower:
    return Follower(store, "token", ("slack",), lambda *_: None)


def end_one(store: Store, at: float) -> str:
    job = store.jobs.submit(replace(make_job(), submitted_at=at), indices=None, now=at)
    new = moves.ended(store.jobs.get(job.id), Judgement(EndReason.CANCELLED_BY_ADMIN, "Cancelled."), None, at)
    return store.jobs.move(store.jobs.get(job.id), new, now=at, by="root")


def test_news_that_is_a_day_old_is_counted_and_what_nobody_would_be_told_of_is_not(store: Store) -> None:
    reader = follower(store)
    reader.turn()
    for age in (OLD + 60.0, OLD + 1.0, 10.0):
        end_one(store, now() - age)
    assert reader.turn() > 3  # the submissions too, which are no news
    assert store.events.missed() == {"old": 2}


def test_a_stream_that_was_cut_before_it_was_read_is_counted_once(store: Store) -> None:
    reader = follower(store)
    end_one(store, now())
    reader.turn()
    reader.turn()
    for _ in range(3):
        last = end_one(store, now())
    store.connection.client.xtrim("labq:events", minid=last, approximate=False)
    assert reader.turn() == 1
    for _ in range(3):
        end_one(store, now())
        reader.turn()
    assert store.events.missed() == {"trimmed": 1}


def test_a_notifier_that_keeps_up_misses_nothing(store: Store) -> None:
    reader = follower(store)
    for _ in range(4):
        reader.turn()
        end_one(store, now())
    assert store.events.missed() == {}
