"""Signals count when they arrived; a time limit is never forgotten; one failed action holds up no other."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from unit.worker.jobs import job as make_job

from labq.states import JobState
from labq_worker.adopt import Reconciler
from labq_worker.attempts import Attempt
from labq_worker.context import Context
from labq_worker.end_facts import Signals
from labq_worker.engine_errors import EngineAwayError
from labq_worker.reconcile import Adopt, Discard, Found
from labq_worker.runner import Runner
from labq_worker.stopper import Stopper
from labq_worker.timers import Timer


class Now:
    """Timers whose calls the test makes."""

    def __init__(self) -> None:
        """Begin with none."""
        self.due: list[tuple[float, Callable[[], None]]] = []

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Keep it."""
        self.due.append((seconds, call))
        return Timer(call)

    def run(self) -> None:
        """Make all calls that are due."""
        due, self.due = self.due, []
        for _, call in due:
            call()


def context(**parts: Any) -> Context:
    """A context with what the test needs."""
    return cast("Context", SimpleNamespace(timers=Now(), by="agent n1", **parts))


def attempt() -> Attempt:
    """An attempt that runs."""
    made = Attempt("1042", 2, "abcdef0123456789")
    made.started, made.container = True, "c1"
    return made


def test_a_signal_that_came_after_the_end_was_not_sent() -> None:
    one = attempt()
    assert not one.send("SIGTERM", lambda: False)
    assert one.signals_sent() == Signals()
    assert one.send("SIGTERM", lambda: True)
    assert not one.send("SIGKILL", lambda: False)
    assert one.signals_sent() == Signals(sigterm=True)


def test_of_a_signal_without_an_answer_nobody_knows_whether_it_arrived() -> None:
    def away() -> bool:
        raise EngineAwayError("gone")

    one = attempt()
    with pytest.raises(EngineAwayError):
        one.send("SIGKILL", away)
    assert one.signals_sent() == Signals(unknown=True)


def test_who_judges_the_end_waits_for_a_signal_that_is_on_its_way() -> None:
    one, on_its_way, go_on = attempt(), threading.Event(), threading.Event()

    def deliver() -> bool:
        on_its_way.set()
        return go_on.wait(10)

    thread = threading.Thread(target=one.send, args=("SIGTERM", deliver))
    thread.start()
    on_its_way.wait(10)
    threading.Timer(0.05, go_on.set).start()
    assert one.signals_sent().sigterm
    thread.join()


def test_a_time_limit_is_tried_again_whatever_redis_says() -> None:
    answers: list[Any] = [
        ValueError("MISCONF Redis is configured to save"),
        make_job(state=JobState.STARTING),
    ]

    def get(_: str) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    parts = context(store=SimpleNamespace(jobs=SimpleNamespace(get=get)))
    one, timers = attempt(), cast("Now", parts.timers)
    Stopper(parts).at_time_limit(one, 5.0)
    timers.run()
    assert one.time_armed
    assert len(timers.due) == 1
    timers.run()
    assert not answers


@pytest.mark.parametrize("fault", [EngineAwayError("gone"), RuntimeError("can't start new thread")])
def test_a_signal_that_could_not_be_sent_is_sent_again(fault: Exception) -> None:
    answers: list[Exception | bool] = [fault, True]

    def signal(_container: str, _name: str) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    parts = context(engine=SimpleNamespace(signal=signal))
    one, timers = attempt(), cast("Now", parts.timers)
    Stopper(parts).begin(one, 0.0, 0.0)
    timers.due = [due for due in timers.due if due[0] == 0.0][:1]
    timers.run()
    timers.run()
    assert not answers
    assert one.signals_sent().sigterm


def test_reconcile_watches_over_a_time_limit_that_nobody_watches() -> None:
    one = attempt()
    running = make_job(state=JobState.RUNNING, time="1h", started_at=5.0)
    jobs = SimpleNamespace(leases=lambda _: {one.lease: one.job_id}, get_many=lambda _: [running])
    parts = context(
        store=SimpleNamespace(jobs=jobs),
        engine=SimpleNamespace(find=lambda _: []),
        attempts=SimpleNamespace(all=lambda: [one]),
        config=SimpleNamespace(name="n1", starts=4),
    )
    reconciler = Reconciler(parts, Runner(parts))
    reconciler.run()
    reconciler.run()
    assert one.time_armed
    assert len(cast("Now", parts.timers).due) == 1


def test_an_action_that_fails_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Found(f"c{i}", f"l{i}", "7", i, "exited") for i in range(3)]
    tried: list[str] = []

    def apply(_: Reconciler, action: Adopt | Discard) -> None:
        tried.append(action.found.id)
        raise [OSError(28, "No space left on device"), RuntimeError("can't start new thread"), KeyError(1)][
            len(tried) - 1
        ]

    monkeypatch.setattr(Reconciler, "_apply", apply)
    monkeypatch.setattr(
        "labq_worker.adopt.plan_reconcile", lambda *_, **__: ([*map(Discard, found)], frozenset())
    )
    parts = context(
        store=SimpleNamespace(jobs=SimpleNamespace(leases=lambda _: {}, get_many=lambda _: [])),
        engine=SimpleNamespace(find=lambda _: []),
        attempts=SimpleNamespace(all=list),
        config=SimpleNamespace(name="n1", starts=4),
    )
    Reconciler(parts, Runner(parts)).run(sure=True)
    assert tried == ["c0", "c1", "c2"]
