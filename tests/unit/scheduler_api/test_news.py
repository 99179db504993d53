"""States are told once, in order, whatever the board's thread and the stream do."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import Any, cast

from builders import make_job

from labq.job import Job
from labq.states import JobState
from labq.store import Event
from labq_scheduler.api.follow import _Ticker
from labq_scheduler.api.hub import Hub, Watch
from labq_scheduler.api.news import StateNews
from labq_scheduler.board import Board
from labq_scheduler.verbs.lab import Lab


class FakeBoard:
    def __init__(self, job: Job) -> None:
        self.job, self.reason, self.listeners = job, "no node is free", list[Any]()

    def get(self, _job_id: str) -> Job:
        return self.job

    def why(self, _job_id: str) -> str:
        return self.reason

    def subscribe(self, callback: Any) -> Any:
        self.listeners.append(callback)
        return lambda: self.listeners.remove(callback)


class FakeLab:
    def __init__(self, job: Job) -> None:
        self.board = FakeBoard(job)


def moved(old: str, new: str, **fields: Any) -> Event:
    flat = {
        "type": "moved",
        "id": "1",
        "from": old,
        "to": new,
        "at": "5",
        "node": "n1",
        "set": json.dumps(fields),
    }
    return Event("1-0", flat)


def news_of(job: Job) -> tuple[StateNews, FakeLab]:
    lab = FakeLab(job)
    return StateNews(cast(Lab, lab), job), lab


def test_old_news_are_left_out_and_missed_ones_taken_from_the_record() -> None:
    news, lab = news_of(make_job(state=JobState.RUNNING))
    first = news.from_record(9.0)
    assert first is not None
    assert first["state"] == "running"
    late = [moved("queued", "starting"), moved("starting", "running")]
    assert list(news.from_events(late)) == []
    lab.board.job = make_job(state=JobState.SUCCEEDED)  # its event was lost with a restart of Redis
    news.refresh()
    last = news.from_record(9.0)
    assert last is not None
    assert (last["state"], news.told_final) == ("succeeded", True)
    assert news.from_record(9.0) is None


def test_every_state_of_a_burst_is_told() -> None:
    news, _ = news_of(make_job())
    news.from_record(1.0)
    burst = [
        moved("queued", "starting", attempt="1"),
        moved("starting", "running"),
        moved("running", "failed", end_reason="exit_code", exit_code="3", verdict="It failed."),
    ]
    told = list(news.from_events(burst))
    assert [(body["state"], body["why"]) for body in told] == [
        ("starting", "its container is being made on n1"), ("running", "it runs on n1"), ("failed", "It failed."),
    ]  # fmt: skip
    assert told[-1]["exit_code"] == 3


def test_a_new_reason_for_waiting_is_news() -> None:
    news, lab = news_of(make_job())
    assert news.from_record(1.0) is not None
    assert news.from_record(1.0) is None
    lab.board.reason = "n2 is drained"
    told = news.from_record(1.0)
    assert told is not None
    assert told["why"] == "n2 is drained"


def test_the_hub_wakes_only_whoever_watches_the_job_and_forgets_them() -> None:
    async def main() -> None:
        board = FakeBoard(make_job())
        hub = Hub(cast(Board, board))
        hub.start()
        with hub.watch("1") as one, hub.watch("2") as two, hub.watch("1") as other:
            await asyncio.to_thread(board.listeners[0], moved("queued", "starting"))
            await asyncio.wait_for(one.wait(5), 1)
            assert [len(watch.take()) for watch in (one, two, other)] == [1, 0, 1]
            assert hub.watched == 3
            hub.close()
            await asyncio.wait_for(two.wait(5), 1)
        assert hub.watched == 0
        hub.stop()
        assert board.listeners == []

    asyncio.run(main())


def test_a_watch_gives_up_after_its_time() -> None:
    async def main() -> None:
        watch = Watch()
        await asyncio.wait_for(watch.wait(0.01), 1)
        assert watch.take() == []

    asyncio.run(main())


def test_the_job_of_news_is_the_boards() -> None:
    news, lab = news_of(make_job())
    lab.board.job = replace(lab.board.job, note="x")
    news.refresh()
    assert news.job.note == "x"


def test_why_a_job_waits_is_not_asked_on_the_event_loops_thread() -> None:
    news, lab = news_of(make_job())
    threads = []

    def why(_job_id: str) -> str:
        threads.append(threading.get_ident())
        return "it waits for job 1"

    lab.board.why = why  # type: ignore[method-assign]

    async def turn() -> int:
        assert len(await _Ticker(news, Watch()).turn()) == 1
        return threading.get_ident()

    assert asyncio.run(turn()) not in threads
    assert threads
