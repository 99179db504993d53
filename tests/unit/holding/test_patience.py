"""A home on a server that is away keeps nobody waiting."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from support.waiting import wait_for

from labq.clock import monotonic
from labq.holding.accounts import Accounts
from labq.holding.patience import MOST, PATIENCE, Patience


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_kept_for_its_time_and_then_asked_anew() -> None:
    clock, asked = Clock(), []
    patience = Patience(60.0, clock)

    def question() -> int:
        asked.append(1)
        return len(asked)

    assert [patience.ask("a", question, 0) for _ in range(3)] == [1, 1, 1]
    clock.now = 61.0
    assert patience.ask("a", question, 0) == 2


def test_while_it_hangs_the_last_answer_stands_and_it_is_asked_only_once() -> None:
    clock, release, asked = Clock(), threading.Event(), []
    patience = Patience(60.0, clock)
    assert patience.ask("a", lambda: "alice", None) == "alice"
    clock.now = 61.0

    def hang() -> str:
        asked.append(1)
        release.wait(20)
        return "bob"

    began = monotonic()
    assert [patience.ask("a", hang, None) for _ in range(5)] == ["alice"] * 5
    assert monotonic() - began < 4 * PATIENCE
    assert len(asked) == 1
    release.set()
    wait_for(lambda: patience.ask("a", hang, None) == "bob", 10, "the answer that came late")


def test_however_many_hang_the_others_are_answered_until_there_are_too_many() -> None:
    release = threading.Event()
    patience = Patience(60.0, Clock())

    def hang() -> bool:
        return release.wait(20)

    threads = [threading.Thread(target=patience.ask, args=(n, hang, None)) for n in range(MOST - 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert patience.ask("well", lambda: 1, None) == 1
    assert patience.ask("last", hang, None) is None
    assert patience.ask("too many", lambda: 1, None) is None
    release.set()
    wait_for(lambda: patience.ask("too many", lambda: 1, None) == 1, 10, "room for another question")


def test_a_question_that_fails_fails_where_it_was_asked() -> None:
    with pytest.raises(KeyError):
        Patience(60.0, Clock()).ask("a", lambda: os.environ["LABQ_THERE_IS_NO_SUCH"], "")


def test_a_home_on_a_hung_server_names_nobody_and_a_look_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    release, lstat = threading.Event(), os.lstat

    def hung(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        if str(path).startswith("/hung"):
            release.wait(20)
        return lstat(path, *args, **kwargs)

    monkeypatch.setattr(os, "lstat", hung)
    began = monotonic()
    assert Accounts().home_owner("/hung/home/alice") is None
    assert monotonic() - began < 4 * PATIENCE
    release.set()
