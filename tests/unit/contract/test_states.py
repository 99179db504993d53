from __future__ import annotations

import contextlib
import itertools

import pytest
from builders import make_job, make_node

from labq import moves
from labq.ending import RULES, EndReason, Judgement, StopRequest
from labq.errors import IllegalMoveError
from labq.job import GpuHold
from labq.moves import Claim
from labq.states import (
    FINAL,
    HOLDING,
    MOVES,
    JobState,
    check_move,
    legal_moves,
    moves_as_lua,
    moves_as_mermaid,
)

PAIRS = list(itertools.product(JobState, JobState))


@pytest.mark.parametrize(("state", "to"), PAIRS, ids=lambda s: str(s))
def test_every_pair_of_states_is_legal_only_when_the_table_has_it(state: JobState, to: JobState) -> None:
    if (state, to) in MOVES:
        check_move("7", state, to)
    else:
        with pytest.raises(IllegalMoveError, match=rf"job 7: {state} -> {to} is not a legal move"):
            check_move("7", state, to)


def test_a_final_state_is_never_left() -> None:
    assert all(legal_moves(state) == [] for state in FINAL)


def test_every_state_can_be_reached_and_every_other_state_left() -> None:
    assert {to for _, to in MOVES} == set(JobState)
    assert {state for state, _ in MOVES} == set(JobState) - FINAL


def test_a_job_that_holds_something_can_always_give_it_back() -> None:
    for state in HOLDING:
        assert any(to not in HOLDING for to in legal_moves(state))


def test_the_lua_table_and_the_diagram_name_every_move_and_no_other() -> None:
    lua, diagram = moves_as_lua(), moves_as_mermaid()
    for state, to in PAIRS:
        assert (f'["{state}>{to}"]=true' in lua) is ((state, to) in MOVES)
        assert (f"    {state} --> {to}: " in diagram) is ((state, to) in MOVES)


@pytest.mark.parametrize(("state", "to"), PAIRS, ids=lambda s: str(s))
def test_every_function_of_a_move_obeys_the_table(state: JobState, to: JobState) -> None:
    job = make_job("3", state)
    claim = Claim("t", make_node(gpus=1), (GpuHold("n1-0"),), 1.0, 1)
    done = Judgement(EndReason.COMPLETED, "ok")
    makers = {
        JobState.STARTING: lambda: moves.starting(job, claim),
        JobState.RUNNING: lambda: moves.running(job, 5.0, "sha256:1"),
        JobState.STOPPING: lambda: moves.stopping(job, StopRequest(EndReason.TIME_LIMIT, "labq", 5.0)),
        JobState.SUCCEEDED: lambda: moves.ended(job, done, 0, 9.0),
        JobState.QUEUED: lambda: moves.ended(job, Judgement(EndReason.PREEMPTED, "p"), 143, 9.0),
        JobState.FAILED: lambda: moves.ended(job, Judgement(EndReason.TIME_LIMIT, "f"), 1, 9.0),
        JobState.CANCELLED: lambda: moves.ended(job, Judgement(EndReason.CANCELLED_BY_USER, "c"), 143, 9.0),
    }
    if (state, to) in MOVES:
        new = makers[to]()
        new.check()
        assert new.state is to
    else:
        with contextlib.suppress(IllegalMoveError):
            assert makers[to]().state is not to


@pytest.mark.parametrize("reason", EndReason)
def test_every_end_reason_has_a_rule_with_a_final_state_and_a_text(reason: EndReason) -> None:
    rule = RULES[reason]
    assert rule.state in FINAL
    assert rule.text
    assert rule.requeue in {"never", "retries", "free"}
