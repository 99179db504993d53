"""However many tasks of an array end together, its tasks are read once."""

from __future__ import annotations

import pytest
from builders import make_job

from labq import moves
from labq.ending import EndReason, Judgement
from labq.store import Person, Store
from labq_scheduler.notify.follower import Follower

TASKS = 1200


def test_an_array_that_is_cancelled_whole_costs_one_look(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(redis_url)
    store.people.put(Person("ann", 1000, 1000, slack_id="U012AB3CD"))
    follower = Follower(store, "token", ("slack",), lambda *_: None)
    follower.turn()
    made = store.jobs.submit(make_job(), indices=list(range(TASKS)), now=1.0)
    for job in store.jobs.get_many(made.jobs):
        over = moves.ended(job, Judgement(EndReason.CANCELLED_BY_ADMIN, "Cancelled by bob."), None, 2.0)
        store.jobs.move(job, over, now=2.0, by="bob")
    looks, array = [], store.jobs.array

    def counted(array_id: str) -> list[str]:
        looks.append(array_id)
        return list(array(array_id))

    monkeypatch.setattr(store.jobs, "array", counted)
    # The events are from the first minutes of 1970: let them be news.
    follower._old = 1e18
    while follower.turn():
        pass
    assert looks == [made.id]
    assert sum(store.notices.waiting()) >= 1
