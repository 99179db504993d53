"""What a job waits for is found wherever it is: on the board, in Redis, in the records."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import Mock

import pytest
from builders import make_job, make_node

from labq import moves
from labq.ending import EndReason, Judgement
from labq.errors import UnavailableError
from labq.moves import Claim
from labq.states import JobState
from labq.store import Store
from labq_scheduler import board as board_module
from labq_scheduler import dependencies
from labq_scheduler.board import Board
from labq_scheduler.decide import decide
from labq_scheduler.policy.rules import Rules

NODE = make_node("n1", cpus=100)


class Records:
    """What the records answer."""

    def __init__(self) -> None:
        self.known: dict[str, JobState] = {}
        self.away = False

    def states(self, ids: list[str]) -> dict[str, JobState]:
        if self.away:
            raise UnavailableError("the records do not answer")
        return {job_id: self.known[job_id] for job_id in ids if job_id in self.known}


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def board(store: Store, records: Records) -> Iterator[Board]:
    board = Board(store, records.states)
    board.start()
    yield board
    board.stop()


def end(store: Store, job_id: str, reason: EndReason = EndReason.COMPLETED) -> None:
    job = store.jobs.get(job_id)
    claim = Claim(f"l{job_id}", NODE, (), 0.1, 10)
    new = moves.starting(job, claim)
    store.jobs.move(job, new, now=2.0, by="t", claim=claim)
    run = moves.running(new, 3.0, "sha")
    store.jobs.move(new, run, now=3.0, by="t")
    store.jobs.move(run, moves.ended(run, Judgement(reason, "x"), None, 4.0), now=4.0, by="t")


def after(store: Store, *ids: str) -> str:
    recorded = [job_id.removeprefix("any:") for job_id in ids]
    return store.jobs.submit(make_job(after=list(ids)), indices=None, now=1.0, recorded=recorded).id


def refused(board: Board, at: float = 100.0) -> dict[str, str]:
    assert board.wait_caught_up()
    return {refusal.job.id: refusal.why for refusal in decide(board.snapshot(at), Rules()).refusals}


@pytest.mark.parametrize("redis_has_it", [True, False])
def test_an_array_whose_failed_task_the_board_forgot_has_failed(
    store: Store, board: Board, records: Records, monkeypatch: pytest.MonkeyPatch, redis_has_it: bool
) -> None:
    monkeypatch.setattr(board_module, "KEEP_ENDED", 1)
    array = store.jobs.submit(make_job(), indices=[0, 1, 2], now=1.0).id
    waiting = after(store, array)
    end(store, f"{array}.0", EndReason.EXIT_CODE)
    end(store, f"{array}.1")
    assert refused(board) == {}
    assert f"waits for job {array} to succeed (now running)" in (board.why(waiting) or "")
    end(store, f"{array}.2")
    assert board.wait_caught_up()
    assert board.get(f"{array}.0") is None
    if not redis_has_it:
        store.connection.client.delete(f"labq:job:{array}.0", f"labq:job:{array}.1")
        records.known = {f"{array}.0": JobState.FAILED, f"{array}.1": JobState.SUCCEEDED}
    assert f"job {array}, which it waits for, failed" in refused(board)[waiting]


def test_the_state_of_an_array_is_worked_out_once_for_all_that_wait_for_it(
    store: Store, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = store.jobs.submit(make_job(), indices=[0, 1], now=1.0).id
    waiting = store.jobs.submit(make_job(after=[array]), indices=list(range(20)), now=1.0).jobs
    assert board.wait_caught_up()
    combined = Mock(wraps=dependencies.combined)
    monkeypatch.setattr(dependencies, "combined", combined)
    assert all("now queued" in (board.why(job_id) or "") for job_id in waiting)
    assert combined.call_count == 1
    end(store, f"{array}.0")
    assert board.wait_caught_up()
    assert "now running" in (board.why(waiting[0]) or "")
    end(store, f"{array}.1")
    assert refused(board) == {}
    assert len(board.snapshot(100.0).held) == 0


def test_a_job_may_wait_for_one_that_only_the_records_know(
    store: Store, board: Board, records: Records
) -> None:
    records.known = {"900": JobState.SUCCEEDED, "901": JobState.FAILED}
    good, bad, any_end = after(store, "900"), after(store, "901"), after(store, "any:901")
    assert set(refused(board)) == {bad}
    pending = {job.id for jobs in board.snapshot(100.0).queue.jobs for job in jobs}
    assert pending == {good, any_end}


def test_a_job_that_waits_for_what_nobody_knows_is_refused_once_everybody_was_asked(
    store: Store, board: Board, records: Records
) -> None:
    records.away = True
    waiting = after(store, "900")
    assert refused(board) == {}
    assert "now unknown" in (board.why(waiting) or "")
    records.away = False
    assert "nobody knows job 900 any more" in refused(board)[waiting]


def test_without_records_nothing_is_refused_for_being_unknown(store: Store) -> None:
    board = Board(store)
    board.start()
    after(store, "900")
    assert refused(board) == {}
    board.stop()


def test_the_list_of_an_array_lives_until_its_last_task_has_ended(store: Store) -> None:
    client = store.connection.client
    array = store.jobs.submit(make_job(), indices=[0, 1], now=1.0).id
    end(store, f"{array}.1")
    assert client.ttl(f"labq:array:{array}") == -1
    assert client.get(f"labq:array:{array}:left") == "1"
    end(store, f"{array}.0")
    assert client.ttl(f"labq:array:{array}") > 0
    assert not client.exists(f"labq:array:{array}:left")
