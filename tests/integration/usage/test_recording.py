"""Rows on their way into the records: once, whoever dies when."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from integration.usage.rows import HOUR0, make_row

from labq.store import Store, keys
from labq.usage import HOUR, UsageRow
from labq_scheduler.board import Board
from labq_scheduler.records.history import History
from labq_scheduler.usage.follower import KEEP, UsageFollower
from labq_scheduler.usage.ledger import Ledger

LATER = HOUR0 + HOUR + KEEP


def follower(store: Store, history: History) -> UsageFollower:
    return UsageFollower(store, Ledger(Board(store), history, lambda: 7 * 86_400.0), history)


def recorded(history: History) -> list[UsageRow]:
    return sorted(history.outside_use(0.0), key=repr)


def test_rows_are_recorded_and_stay_in_redis_while_they_may_grow(store: Store, history: History) -> None:
    store.usage.write("n1", [make_row()])
    follower(store, history).round(HOUR0 + 60.0)
    assert recorded(history) == [make_row()]
    assert store.usage.read("n1") == [make_row()]


def test_rows_grow_and_never_shrink(store: Store, history: History) -> None:
    follow = follower(store, history)
    for held, busy in ((10.0, 5.0), (20.0, 9.0), (15.0, 12.0)):
        store.usage.write("n1", [make_row(held=held, busy=busy)])
        follow.round(HOUR0 + 60.0)
    assert recorded(history) == [make_row(held=20.0, busy=9.0)]
    history.put_usage([make_row(held=15.0, busy=12.0)])
    assert recorded(history) == [make_row(held=20.0, busy=12.0)]


def test_a_row_that_is_none_stops_neither_its_node_nor_the_others(store: Store, history: History) -> None:
    client, field = store.connection.client, f'[{HOUR0},"e1","n1-0","bad","out"]'
    store.usage.write("n1", [make_row()])
    for value in ('["A100",NaN,1.0]', '["A100","1",1.0]', '["\\ud800",1.0,1.0]', "null"):
        client.hset(keys.USAGE + "n1", field, value)
        follower(store, history).round(HOUR0 + 60.0)
    store.usage.write("n2", [make_row(node="n2")])
    follower(store, history).round(LATER)
    assert recorded(history) == [make_row(), make_row(node="n2")]
    assert store.usage.nodes() == []


def test_a_row_of_the_far_future_waits(
    store: Store, history: History, caplog: pytest.LogCaptureFixture
) -> None:
    ahead = make_row(HOUR0 + 100 * HOUR)
    store.usage.write("n1", [ahead, make_row()])
    follow = follower(store, history)
    for _ in range(2):
        follow.round(HOUR0 + 60.0)
    assert recorded(history) == [make_row()]
    assert caplog.text.count("clock of node n1") == 1
    follow.round(HOUR0 + 100 * HOUR + 60.0)
    assert recorded(history) == [make_row(), ahead]


def test_lives_of_an_agent_gpus_people_and_sides_are_rows_of_their_own(
    store: Store, history: History
) -> None:
    rows = [
        make_row(), make_row(epoch="e2"), make_row(gpu="n1-1"), make_row(user="bob"), make_row(outside=False),
        make_row(HOUR0 + HOUR),
    ]  # fmt: skip
    history.put_usage([*rows, *rows])
    history.put_usage(rows)
    assert len(recorded(history)) == 5
    inside = history.measured("user", HOUR0, HOUR0 + 2 * HOUR, HOUR0 + 2 * HOUR, "ann")
    assert sorted(inside) == [("ann", False, 100.0, 50.0), ("ann", True, 400.0, 200.0)]


def test_more_rows_than_fit_one_question_are_recorded(history: History) -> None:
    rows = [make_row(gpu=f"g{number}") for number in range(1234)]
    history.put_usage(rows)
    history.put_usage([make_row(gpu=f"g{number}", held=200.0) for number in range(1200, 1300)])
    found = recorded(history)
    assert len(found) == 1300
    assert sum(row.held for row in found) == 1200 * 100.0 + 100 * 200.0


def test_old_rows_are_forgotten_once_recorded(store: Store, history: History) -> None:
    store.usage.write("n1", [make_row(), make_row(HOUR0 + HOUR)])
    follower(store, history).round(LATER)
    assert store.usage.read("n1") == [make_row(HOUR0 + HOUR)]
    assert len(recorded(history)) == 2


def test_a_server_that_was_away_for_days_loses_nothing(store: Store, history: History) -> None:
    store.usage.write("n1", [make_row(HOUR0 + number * HOUR) for number in range(72)])
    follower(store, history).round(HOUR0 + 90 * HOUR)
    assert len(recorded(history)) == 72
    assert store.usage.nodes() == []


class Killed(BaseException):
    """Stands for kill -9."""


def test_killed_between_recording_and_forgetting_nothing_is_lost_or_doubled(
    store: Store, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.usage.write("n1", [make_row()])

    def dies(_rows: Iterable[UsageRow]) -> int:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(store.usage, "forget", dies)
        with pytest.raises(Killed):
            follower(store, history).round(LATER)
    store.usage.write("n1", [make_row(held=101.0)])  # the agent lived on
    follower(store, history).round(LATER)
    assert recorded(history) == [make_row(held=101.0)]
    assert store.usage.nodes() == []


def test_killed_before_recording_the_rows_are_still_in_redis(
    store: Store, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.usage.write("n1", [make_row()])

    def dies(_rows: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(history, "put_usage", dies)
        with pytest.raises(Killed):
            follower(store, history).round(LATER)
    assert store.usage.read("n1") == [make_row()]
    follower(store, history).round(LATER)
    assert recorded(history) == [make_row()]


def test_two_servers_that_record_the_same_end_with_the_same(
    store: Store, history: History, tmp_path: Path
) -> None:
    other = History("", tmp_path)
    store.usage.write("n1", [make_row(), make_row(user="bob")])
    for each in (history, other):
        follower(store, each).round(HOUR0 + 60.0)
    assert len(recorded(other)) == 2
    other.close()
