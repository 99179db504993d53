"""The board learns from a real Redis and real records how long jobs ran, and what people are charged."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_job, make_node
from support.waiting import wait_for

from labq import moves
from labq.ending import EndReason, Judgement
from labq.job import Attempt, GpuHold, Job
from labq.moves import Claim
from labq.states import JobState
from labq.store import Store
from labq_scheduler import learning
from labq_scheduler.board import Board
from labq_scheduler.policy.runtimes import UNKNOWN, Kind
from labq_scheduler.records.history import History
from labq_scheduler.usage import lately
from labq_scheduler.usage.lately import Lately
from labq_scheduler.usage.ledger import Ledger

NODE = make_node("n1", gpus=2, cpus=100)
KIND = Kind("ann", "train", 1)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History("", tmp_path / "data")  # a directory that is not there yet: the records do not answer
    yield history
    history.close()


@pytest.fixture
def board(store: Store, history: History) -> Iterator[Board]:
    board = Board(store, runs=history.past_runs)
    yield board
    board.stop()


def run(store: Store, seconds: float, reason: EndReason = EndReason.COMPLETED) -> str:
    """Let a new job run for so long; return its id."""
    made = store.jobs.submit(make_job(gpus="1", name="train"), indices=None, now=1.0)
    job = store.jobs.get(made.id)
    claim = Claim(f"l{job.id}", NODE, (GpuHold("n1-0"),), 0.1, 10)
    new = moves.starting(job, claim)
    store.jobs.move(job, new, now=2.0, by="t", claim=claim)
    running = moves.running(new, 3.0, "sha")
    store.jobs.move(new, running, now=3.0, by="t")
    over = moves.ended(running, Judgement(reason, "x"), None, 3.0 + seconds)
    store.jobs.move(running, over, now=3.0 + seconds, by="t")
    return job.id


def old(number: int, seconds: float, *, reason: EndReason = EndReason.COMPLETED, gpus: int = 1) -> Job:
    """Return a job that ended long ago, as the recorder writes it."""
    held = tuple(f"n1-{index}" for index in range(gpus))
    attempt = Attempt(1, "n1", held, "l", 10.0, 10.0 + seconds, 0, reason, "x")
    job = make_job(str(number), JobState.SUCCEEDED, gpus=str(gpus), name="train")
    return replace(job, attempts=(attempt,), ended_at=10.0 + seconds)


def runs(board: Board, kind: Kind = KIND) -> int:
    assert board.wait_caught_up()
    return board.snapshot(100.0).runtimes.estimate(kind, None).runs


def test_what_the_board_sees_end_is_learnt_once_and_what_was_preempted_is_not(
    store: Store, board: Board
) -> None:
    board.start()
    assert board.wait_caught_up()  # what ended so long ago is not loaded
    for _ in range(3):
        run(store, 4000.0)
    run(store, 50.0, EndReason.PREEMPTED)
    assert runs(board) == 3
    board._loaded = False  # as after an outage of Redis: all is read again
    wait_for(lambda: board.loaded, 10, "the board to load again")
    run(store, 4000.0)
    assert runs(board) == 4
    made = store.jobs.submit(make_job(gpus="1", name="train"), indices=None, now=1.0)
    assert board.wait_caught_up()
    queue = board.snapshot(100.0).queue
    assert dict(zip([key.owner for key in queue.keys], queue.columns.typical, strict=True))["ann"] == 4096.0
    assert board.get(made.id) is not None


def test_the_records_are_read_at_the_start_before_the_first_job_is_estimated(
    store: Store, board: Board, history: History, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    kept = [old(number, 2000.0) for number in range(1, 5)]
    history.put([*kept, old(9, 90.0, reason=EndReason.NODE_LOST), old(10, 70.0, gpus=2)])
    store.jobs.submit(make_job(gpus="1", name="train"), indices=None, now=1.0)
    board.start()
    assert runs(board) == 4
    assert runs(board, Kind("ann", "train", 2)) == 1
    assert board.snapshot(100.0).queue.columns.typical == [2048.0]


def test_records_that_cannot_be_read_now_are_read_later_and_who_waits_is_estimated_anew(
    store: Store, board: Board, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "AGAIN", 0.05)
    store.jobs.submit(make_job(gpus="1", name="train"), indices=[0, 1], now=1.0)
    board.start()
    assert runs(board) == 0
    assert board.snapshot(100.0).queue.columns.typical == [UNKNOWN]
    (tmp_path / "data").mkdir()
    other = History("", tmp_path / "data")
    other.put([old(number, 2000.0) for number in range(1, 5)])
    other.close()
    wait_for(lambda: runs(board) == 4, 20, "the records to be read")
    queue = board.snapshot(100.0).queue
    assert queue.columns.typical == [2048.0]
    assert [job.id for job in queue.jobs[0]] == ["1.0", "1.1"]


def test_only_the_newest_runs_of_the_records_are_read_oldest_first(history: History, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    history.put([old(number, float(number)) for number in range(1, 8)])
    found = history.past_runs(3, learning.TELLING)
    assert [run.seconds for run in found] == [5.0, 6.0, 7.0]


def test_decisions_know_the_charges_while_the_ledger_asks_the_board(
    store: Store, board: Board, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(lately, "HOLDS", -1.0)
    store.nodes.register(NODE, now=1.0)
    ledger = Ledger(board, history, lambda: 86_400.0)
    board.usage = Lately(ledger.charged)
    board.start()
    assert board.wait_caught_up()
    run(store, 4000.0)
    assert board.wait_caught_up()
    done: list[str] = []

    def use(name: str) -> None:
        for _ in range(100):
            board.snapshot(5000.0)
            ledger.refresh([], 5000.0)
            ledger.charged(5000.0)
        done.append(name)

    threads = [threading.Thread(target=use, args=(str(n),), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        run(store, 10.0)
    wait_for(lambda: len(done) == 4, 60, "all to be done, none waiting for another")
    assert board.snapshot(5000.0).usage["ann"] > 3000.0
