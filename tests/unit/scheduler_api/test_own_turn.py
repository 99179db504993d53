"""Who asks what takes long, and asks it many times, waits for themselves."""

from __future__ import annotations

import asyncio
import threading

import pytest

from labq.store import Person
from labq_scheduler.api.exchange import in_own_turn

pytestmark = pytest.mark.unit
ALICE, BOB = Person("alice"), Person("bob")


def test_a_persons_long_questions_come_one_after_the_other_and_others_do_not_wait_for_them() -> None:
    go_on, lock = threading.Event(), threading.Lock()
    at_once, most = 0, 0

    def think() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        assert go_on.wait(20)
        with lock:
            at_once -= 1

    async def ask() -> str:
        alices = [asyncio.create_task(in_own_turn(ALICE, think)) for _ in range(30)]
        await asyncio.sleep(0)
        answer = await asyncio.wait_for(in_own_turn(BOB, lambda: "at once"), 10)
        assert not any(task.done() for task in alices)
        go_on.set()
        await asyncio.gather(*alices)
        return answer

    assert asyncio.run(ask()) == "at once"
    assert most == 1


def test_a_question_that_fails_gives_the_turn_back() -> None:
    def fail() -> None:
        raise ValueError("no")

    async def ask() -> str:
        with pytest.raises(ValueError, match="no"):
            await in_own_turn(ALICE, fail)
        return await asyncio.wait_for(in_own_turn(ALICE, lambda: "again"), 10)

    assert asyncio.run(ask()) == "again"
