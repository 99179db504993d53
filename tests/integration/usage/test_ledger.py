"""What is charged, from the records, the board and agents' rows: each use once, whatever is seen how often."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_job
from integration.scheduler_api.server_process import NODE, FakeAgent
from integration.usage.rows import make_row
from support.redis import RedisServer
from support.waiting import wait_for

from labq.clock import now
from labq.errors import UnavailableError
from labq.store import Store
from labq.usage import HOUR
from labq_scheduler.board import Board
from labq_scheduler.records.history import History
from labq_scheduler.records.recorder import Recorder
from labq_scheduler.usage.ledger import Ledger

#: So long that nothing fades while a test runs.
HALF_LIFE = 10 * 365 * 86_400.0


@pytest.fixture
def board(store: Store) -> Iterator[Board]:
    store.nodes.register(NODE, now=now())
    found = Board(store)
    found.start()
    wait_for(lambda: found.loaded, 10, "the board")
    yield found
    found.stop()


def ledger(board: Board, history: History) -> Ledger:
    return Ledger(board, history, lambda: HALF_LIFE)


def has_read(accounts: Ledger) -> bool:
    return accounts.loaded


def ran(store: Store, seconds: float, agent: FakeAgent, *, fails: bool = False) -> str:
    """Makes a job of ann's with one GPU that ran for so long and ended now."""
    job = replace(make_job(retries=1), submitted_at=now() - seconds)
    made = store.jobs.submit(job, indices=None, now=now())
    started = agent.run(made.id)
    client = store.connection.client
    client.hset(f"labq:job:{made.id}", "started_at", str((started.started_at or 0) - seconds))
    agent.end(made.id, code=int(fails))
    return made.id


@pytest.fixture
def agent(store: Store, tmp_path: Path) -> FakeAgent:
    return FakeAgent(store, tmp_path)


def test_a_run_is_charged_while_it_goes_on_and_at_once_when_it_has_ended(
    store: Store, board: Board, history: History, agent: FakeAgent
) -> None:
    accounts = ledger(board, history)
    made = store.jobs.submit(replace(make_job(), submitted_at=now()), indices=None, now=now())
    job = agent.run(made.id)
    board.wait_caught_up()
    assert accounts.charged((job.started_at or 0) + 500) == pytest.approx({"ann": 500.0}, rel=1e-4)
    store.connection.client.hset(f"labq:job:{made.id}", "started_at", str((job.started_at or 0) - 500))
    agent.end(made.id)
    board.wait_caught_up()
    assert accounts.charged(now()) == pytest.approx({"ann": 500.0}, abs=3)


def test_a_run_counts_once_from_event_board_and_records(
    store: Store, board: Board, history: History, agent: FakeAgent
) -> None:
    accounts = ledger(board, history)
    ran(store, 1000.0, agent)
    Recorder(store, history).catch_up()
    board.wait_caught_up()
    for _ in range(3):
        accounts.refresh([], now())
        assert accounts.charged(now()) == pytest.approx({"ann": 1000.0}, abs=3)
    again = ledger(board, history)
    again.refresh([], now())
    assert again.charged(now()) == pytest.approx({"ann": 1000.0}, abs=3)


def test_a_start_with_nothing_in_memory_reads_the_records(
    store: Store, history: History, agent: FakeAgent, board: Board
) -> None:
    ran(store, 1000.0, agent)
    Recorder(store, history).catch_up()
    store.connection.client.flushall()
    accounts = ledger(Board(store), history)
    assert not has_read(accounts)
    accounts.refresh([], now())
    assert has_read(accounts)
    assert accounts.charged(now()) == pytest.approx({"ann": 1000.0}, abs=3)


def test_a_job_that_is_queued_again_is_charged_for_its_first_run(
    store: Store, board: Board, history: History, agent: FakeAgent
) -> None:
    ran(store, 700.0, agent, fails=True)
    board.wait_caught_up()
    accounts = ledger(board, history)
    accounts.refresh([], now())
    assert accounts.charged(now()) == pytest.approx({"ann": 700.0}, abs=3)


def test_use_outside_the_queue_is_charged_as_it_grows_and_once(
    store: Store, board: Board, history: History
) -> None:
    accounts = ledger(board, history)
    hour = int(now()) // HOUR * HOUR
    for held in (100.0, 100.0, 250.0, 200.0):
        row = make_row(hour, held=held)
        accounts.refresh([row, make_row(hour, outside=False, held=1000.0)], now())
        history.put_usage([row])
    assert accounts.charged(now()) == pytest.approx({"ann": 250.0}, rel=1e-3)
    again = ledger(board, history)
    again.refresh([make_row(hour, held=300.0), make_row(hour, epoch="e2", user="bob")], now())
    assert again.charged(now()) == pytest.approx({"ann": 300.0, "bob": 100.0}, rel=1e-3)


def test_use_fades_and_is_forgotten_after_ten_half_lives(
    store: Store, board: Board, history: History
) -> None:
    accounts = Ledger(board, history, lambda: 3600.0)
    hour = int(now()) // HOUR * HOUR - HOUR
    accounts.refresh([make_row(hour, held=1000.0)], hour + HOUR)
    fresh = accounts.charged(hour + HOUR)["ann"]
    assert accounts.charged(hour + 2 * HOUR)["ann"] == pytest.approx(fresh / 2)
    old = Ledger(board, history, lambda: 3600.0)
    old.refresh([make_row(hour - 20 * HOUR, held=1000.0)], hour + HOUR)
    assert old.charged(hour + HOUR) == {}


def test_models_weigh_what_the_site_says(store: Store, board: Board, history: History) -> None:
    weights = {"A100": 2.0, "K80": 0.5}
    accounts = Ledger(board, history, lambda: HALF_LIFE, lambda model: weights[model])
    hour = int(now()) // HOUR * HOUR
    accounts.refresh([make_row(hour), make_row(hour, gpu="k", model="K80", user="bob")], now())
    assert accounts.charged(now()) == pytest.approx({"ann": 200.0, "bob": 50.0}, rel=1e-3)


def test_without_records_what_is_seen_is_charged_and_the_rest_comes_when_they_answer(
    store: Store, board: Board, agent: FakeAgent, tmp_path: Path
) -> None:
    ran(store, 1000.0, agent)
    broken = tmp_path / "nowhere"
    history = History("", broken)
    accounts = ledger(board, history)
    hour = int(now()) // HOUR * HOUR
    board.wait_caught_up()
    accounts.refresh([make_row(hour, user="bob")], now())
    assert not has_read(accounts)
    assert accounts.charged(now()) == pytest.approx({"ann": 1000.0, "bob": 100.0}, abs=3)
    broken.mkdir()
    history.put_usage([make_row(hour, user="eve")])
    accounts.refresh([make_row(hour, user="bob")], now())
    assert has_read(accounts)
    assert accounts.charged(now()) == pytest.approx({"ann": 1000.0, "bob": 100.0, "eve": 100.0}, abs=3)
    history.close()


def test_a_redis_that_is_away_at_the_start_costs_nobody_their_past(
    redis_server: RedisServer, store: Store, history: History
) -> None:
    hour = int(now()) // HOUR * HOUR
    history.put_usage([make_row(hour)])
    accounts = ledger(Board(store), history)
    redis_server.stop()
    with pytest.raises(UnavailableError):
        accounts.refresh([], now())
    assert not has_read(accounts)
    redis_server.start()
    accounts.refresh([], now())
    assert accounts.charged(now()) == pytest.approx({"ann": 100.0}, rel=1e-3)


def test_another_half_life_counts_all_that_was_used_anew(
    store: Store, board: Board, agent: FakeAgent, history: History
) -> None:
    seconds = [HALF_LIFE]
    accounts = Ledger(board, history, lambda: seconds[0])
    ran(store, 7200.0, agent)
    board.wait_caught_up()
    hour = int(now()) // HOUR * HOUR - HOUR
    row = make_row(hour, held=600.0, user="bob")
    accounts.refresh([row], now())
    seconds[0] = 3600.0
    at = now()
    accounts.refresh([row], at)
    fresh = Ledger(board, history, lambda: 3600.0)
    fresh.refresh([row], at)
    assert accounts.half_life == 3600.0
    assert accounts.charged(at) == pytest.approx(fresh.charged(at), rel=1e-6)
    assert accounts.charged(at)["ann"] < 0.7 * 7200


def test_while_the_records_do_not_answer_the_half_life_stays(
    store: Store, board: Board, tmp_path: Path
) -> None:
    seconds, folder = [HALF_LIFE], tmp_path / "records"
    folder.mkdir()
    history = History("", folder)
    accounts = Ledger(board, history, lambda: seconds[0])
    row = make_row(int(now()) // HOUR * HOUR)
    accounts.refresh([row], now())
    seconds[0] = 3600.0
    history.close()
    shutil.rmtree(folder)
    accounts.refresh([], now())
    assert accounts.half_life == HALF_LIFE
    assert accounts.charged(now()) == pytest.approx({"ann": 100.0}, rel=1e-3)
    folder.mkdir()
    accounts.refresh([row], now())
    assert accounts.half_life == 3600.0
    history.close()
