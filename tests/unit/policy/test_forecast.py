"""Forecasts say when a job will start: to the second when run times are true, with a range when they are not."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from builders import GB, holding_job, make_job, make_node, make_snapshot

from labq.image import Image
from labq.job import Job
from labq.states import JobState
from labq_scheduler.decide import decide
from labq_scheduler.forecast.ahead import IMAGE_TAKES, OUTPUTS_TAKE, Now
from labq_scheduler.forecast.line import Waiting, with_jobs, without
from labq_scheduler.forecast.outlook import DAY, Forecast, Outlook, forecast
from labq_scheduler.forecast.sooner import sooner
from labq_scheduler.policy.rules import Rules, Window
from labq_scheduler.policy.runtimes import Kind, Runtimes
from labq_scheduler.simulate.estimators import Oracle
from labq_scheduler.snapshot import Columns, Queue, Snapshot

NOW = 10_000.0
RULES = Rules()


def one(name: str, gpus: str = "1", number: int = 1, **wire: Any) -> Job:
    """Return a queued job whose name says to the oracle how long it runs."""
    return make_job(str(number), gpus=gpus, name=name, cpus=1, memory="1GB", **wire)


def oracle(**seconds: float) -> Oracle:
    return Oracle(seconds)


def ahead(snapshot: Snapshot, **how: Any) -> Forecast:
    return forecast(Now.of(snapshot, RULES), **how)


def start(found: Forecast, job_id: str) -> tuple[float | None, str]:
    outlook = found.of(job_id)
    assert outlook is not None
    return outlook.likely, outlook.node


def test_true_run_times_give_true_starts() -> None:
    running = [
        holding_job("1", "n1", "n1-0", started_at=NOW - 100, name="a"),
        holding_job("2", "n1", "n1-1", started_at=NOW - 100, name="b"),
    ]
    jobs = [one("c", number=3), one("d", gpus="2", number=4), one("e", number=5)]
    truth = oracle(a=400, b=1000, c=200, d=500, e=100_000)
    found = ahead(make_snapshot(jobs, [make_node(gpus=2)], running=running, runtimes=truth))
    # c takes a's GPU at 300 and is over when b is still there; d gets both when b is over; e is long and comes last
    assert start(found, "3") == (NOW + 300, "n1")
    assert start(found, "4") == (NOW + 900, "n1")
    assert start(found, "5") == (NOW + 1400, "n1")
    assert found.likely("4") == NOW + 900
    assert found.of("nobody") is None


def test_one_future_is_enough_when_nothing_is_uncertain() -> None:
    running = [holding_job("1", "n1", "n1-0", started_at=NOW, name="a")]
    found = ahead(
        make_snapshot([one("b", number=2)], [make_node(gpus=1)], running=running, runtimes=oracle(a=60, b=1))
    )
    outlook = found.of("2")
    assert outlook is not None
    assert outlook.early == outlook.likely == outlook.late == NOW + 60


def test_the_range_holds_what_history_holds() -> None:
    known = Runtimes()
    for place in range(50):  # 1,000 to 20,000 s, mixed
        known.add(Kind("ann", "", 1), 1000.0 * (1 + place * 7 % 20))
    running = [holding_job("1", "n1", "n1-0", started_at=NOW)]
    found = ahead(
        make_snapshot([make_job("2", gpus="1")], [make_node(gpus=1)], running=running, runtimes=known)
    )
    outlook = found.of("2")
    assert outlook is not None
    assert outlook.early is not None
    assert outlook.likely is not None
    assert outlook.late is not None
    assert NOW + 1000 <= outlook.early <= NOW + 5000
    assert NOW + 6000 <= outlook.likely <= NOW + 12_000
    assert NOW + 16_000 <= outlook.late <= NOW + 20_000


def test_of_a_very_long_queue_one_future_is_thought_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labq_scheduler.forecast.outlook.STEPS", ((3, 1, 0.0),))
    running = [holding_job("1", "n1", "n1-0", started_at=NOW - 50)]
    jobs = [make_job(str(n), gpus="1") for n in range(2, 7)]
    for count, alike in ((5, True), (3, False)):
        outlook = ahead(make_snapshot(jobs[:count], [make_node(gpus=1)], running=running)).of("3")
        assert outlook is not None
        assert (outlook.early == outlook.late) is alike


def test_when_events_are_taken_together_no_gpu_stays_idle_until_the_last_of_them() -> None:
    running = [holding_job(str(n), "n1", f"n1-{n}", started_at=NOW, name=f"a{n}") for n in range(4)]
    jobs = [one("c", number=number) for number in range(10, 22)]
    ends = oracle(a0=300, a1=320, a2=350, a3=400, c=90)
    seen = make_snapshot(jobs, [make_node(gpus=4)], running=running, runtimes=ends)
    exact, together = ahead(seen, coarse=0.0), ahead(seen, coarse=0.5)
    moments = [
        sorted(found.likely(str(number)) or 0.0 for number in range(10, 22)) for found in (together, exact)
    ]
    assert moments[0] == moments[1]


def test_who_waits_for_a_job_never_starts_before_its_end_when_events_are_taken_together() -> None:
    running = [holding_job("1", "n1", "n1-0", started_at=NOW - 100, name="a")]
    ends = [holding_job(str(n), "n2", f"n2-{n - 2}", started_at=NOW, name=f"e{n}") for n in range(2, 6)]
    seen = make_snapshot(
        [one("c", number=7)], [make_node(gpus=1), make_node("n2", gpus=4)], running=[*running, *ends],
        held=[one("d", number=8, after=["1"])], dependencies={"1": JobState.RUNNING},
        runtimes=oracle(a=500, c=50, d=50, e2=350, e3=360, e4=390, e5=395),
    )  # fmt: skip
    found = ahead(seen, coarse=0.5)
    assert start(found, "8")[0] == NOW + 400


def test_the_same_question_gets_the_same_answer() -> None:
    running = [holding_job("1", "n1", "n1-0", started_at=NOW - 50)]
    snapshot = make_snapshot(
        [make_job(str(n), gpus="1") for n in range(2, 9)], [make_node(gpus=1)], running=running
    )
    first, second = ahead(snapshot), ahead(snapshot)
    assert [first.of(str(n)) for n in range(2, 9)] == [second.of(str(n)) for n in range(2, 9)]


def test_what_was_not_reached_is_later_than_was_looked() -> None:
    running = [holding_job("1", "n1", "n1-0", started_at=NOW, name="a")]
    snapshot = make_snapshot(
        [one("b", number=2)], [make_node(gpus=1)], running=running, runtimes=oracle(a=30 * DAY, b=1)
    )
    outlook = ahead(snapshot, horizon=DAY).of("2")
    assert outlook is not None
    assert (outlook.likely, outlook.looked, outlook.never) == (None, NOW + DAY, False)


def test_a_budget_ends_it_and_says_how_far_it_came() -> None:
    jobs = [one(f"j{n}", number=n) for n in range(2, 30)]
    truth = oracle(a=100, **{f"j{n}": 100.0 for n in range(2, 30)})
    running = [holding_job("1", "n1", "n1-0", started_at=NOW, name="a")]
    left = iter([True] * 5)
    snapshot = make_snapshot(jobs, [make_node(gpus=1)], running=running, runtimes=truth)
    found = ahead(snapshot, go_on=lambda: next(left, False))
    assert start(found, "2") == (NOW + 100, "n1")
    last = found.of("29")
    assert last is not None
    assert last.likely is None
    assert NOW + 400 <= last.looked <= NOW + 600


def test_a_job_that_nothing_could_hold_never_starts() -> None:
    outlook = ahead(make_snapshot([make_job("1", gpus="8")], [make_node(gpus=1)])).of("1")
    assert outlook is not None
    assert outlook.never


def test_a_job_that_a_reservation_keeps_out_starts_when_that_is_over() -> None:
    course = Window("course", ("n1",), ("hana",), NOW + 600, NOW + 4000)
    job = one("a", time="1h")
    found = forecast(
        Now.of(make_snapshot([job], [make_node("n1", gpus=1)]), Rules(windows=(course,))), [job.id]
    )
    assert start(found, job.id) == (NOW + 4000, "n1")


def test_a_node_that_does_not_answer_later_on_is_not_thought_lost() -> None:
    running = [holding_job("1", "n1", "n1-0", started_at=NOW, name="a")]
    node = make_node(gpus=1, heartbeat=NOW)
    found = ahead(make_snapshot([one("b", number=2)], [node], running=running, runtimes=oracle(a=9999, b=1)))
    assert start(found, "2") == (NOW + 9999, "n1")


def test_a_held_job_comes_when_its_time_has_come_or_its_dependency_has_ended() -> None:
    running = [holding_job("1", "n1", "n1-0", started_at=NOW, name="a")]
    later = replace(make_job("2", name="b"), not_before=NOW + 5000)
    after, failed = make_job("3", name="c", after=["1"]), make_job("4", name="d", after=["9"])
    snapshot = make_snapshot(
        [one("x", number=8)], [make_node(gpus=1)], running=running, held=[later, after, failed],
        dependencies={"1": JobState.RUNNING, "9": JobState.FAILED}, runtimes=oracle(a=700, b=1, c=1, d=1, x=1),
    )  # fmt: skip
    everywhere = snapshot.images["ref:busybox:latest"]
    assert everywhere.ready_on("n1")
    found = ahead(snapshot)
    assert start(found, "2") == (NOW + 5000, "n1")
    assert start(found, "3") == (NOW + 700, "n1")
    assert found.of("4") is None


def test_a_job_whose_outputs_are_on_their_way_comes_when_they_are_thought_to_be_there() -> None:
    back = replace(make_job("2", name="b"), outputs_due=1)
    snapshot = make_snapshot(
        [one("x", number=8)], [make_node(gpus=1)], held=[back], runtimes=oracle(b=1, x=1)
    )
    assert start(ahead(snapshot), "2") == (NOW + OUTPUTS_TAKE, "n1")


def test_an_image_that_is_nowhere_takes_its_time() -> None:
    job = one("a")
    snapshot = make_snapshot(
        [job], [make_node(gpus=1)], images={job.image_key: Image(job.image_key)}, runtimes=oracle(a=1)
    )
    assert start(ahead(snapshot), "1") == (NOW + IMAGE_TAKES, "n1")


def test_a_preemptible_job_is_seen_to_yield() -> None:
    running = [holding_job("1", "n1", "n1-0", started_at=NOW - 5000, name="a", preemptible=True, grace="60s")]
    urgent = one("b", number=2, priority="high")
    snapshot = make_snapshot([urgent], [make_node(gpus=1)], running=running, runtimes=oracle(a=90_000, b=1))
    likely, _ = start(ahead(snapshot), "2")
    assert likely is not None
    assert likely <= NOW + 120


def test_the_queue_can_be_changed_and_is_as_if_it_had_been_made_so() -> None:
    known = Runtimes()
    jobs = [make_job("1", gpus="1"), make_job("2", gpus="2"), make_job("3", gpus="1")]
    queue, other = Queue.of(jobs, known), make_job("4", gpus="4", time="2h")
    same(with_jobs(queue, [other], known), Queue.of([*jobs, other], known))
    same(without(queue, jobs[1]), Queue.of([jobs[0], jobs[2]], known))
    same(without(queue, jobs[0]), Queue.of(jobs[1:], known))
    same(without(queue, other), queue)
    waiting = Waiting(queue)
    copy = waiting.copy()
    waiting.started([jobs[0], jobs[1]])
    same(waiting.queue(), Queue.of([jobs[2]], known))
    same(copy.queue(), queue)


def same(queue: Queue, expected: Queue) -> None:
    def rows(one: Queue) -> list[Any]:
        numbers = {"user": one.users, "shape": one.shapes, "image": one.images}
        found = []
        for row, key in enumerate(one.keys):
            values = {item.name: getattr(one.columns, item.name)[row] for item in fields(Columns)}
            named = {name: names[int(values[name])] for name, names in numbers.items()}
            found.append((key, tuple(job.id for job in one.jobs[row]), {**values, **named}))
        return sorted(found, key=lambda row: row[1])

    assert rows(queue) == rows(expected)


def told(snapshot: Snapshot, job: Job) -> list[tuple[str, float | None, str]]:
    rooms = dict(decide(snapshot, RULES).rooms)
    found = sooner(job, ahead(snapshot).of(job.id), snapshot, RULES, rooms)
    return [(one.flag, one.start, one.node) for one in found]


def test_a_free_smaller_card_is_told_as_sooner() -> None:
    nodes = [make_node("n1", gpus=1), make_node("n2", gpus=1, model="T4", gpu_memory=16 * GB)]
    running = [holding_job("1", "n1", "n1-0", started_at=NOW, time="1d")]
    job = make_job("2", gpus="24GB+")
    found = told(make_snapshot([job], nodes, running=running), job)
    assert ("--gpus '16GB+'", None, "n2") in found


def test_a_time_limit_that_lets_a_job_pass_is_told_as_sooner() -> None:
    nodes = [make_node("n1", gpus=2)]
    running = [holding_job("1", "n1", "n1-0", started_at=NOW, time="10h", cpus=1)]
    first = replace(make_job("2", gpus="2", cpus=1, time="1h"), owner="bob")
    job = make_job("3", gpus="1", cpus=1, time="7d", memory="1GB")
    known = Runtimes()
    for _ in range(20):
        known.add(Kind("ann", "", 1), 3 * 86400.0)
        known.add(Kind("bob", "", 2), 1800.0)
    found = told(make_snapshot([first, job], nodes, running=running, runtimes=known), job)
    assert any(flag.startswith("--time") and start is None for flag, start, _ in found), found


def test_no_variant_is_told_of_a_job_that_starts_at_once() -> None:
    job = make_job("1", gpus="1")
    assert told(make_snapshot([job], [make_node(gpus=4)]), job) == []


def test_a_request_that_could_run_nowhere_else_is_not_told_as_sooner() -> None:
    nodes = [make_node("n1", gpus=2), make_node("n2", gpus=1, model="T4")]
    running = [holding_job("1", "n1", "n1-0", "n1-1", started_at=NOW - 60, name="a")]
    job = make_job("2", gpus="4090:2", nodes=["!n2"], name="job")
    snapshot = make_snapshot([job], nodes, running=running, runtimes=oracle(a=600, job=1))
    later = NOW + 9000  # other futures than those of variants
    by_chance = Outlook(later, later, later, "n1", later, NOW)
    rooms = dict(decide(snapshot, RULES).rooms)
    flags = {one.flag for one in sooner(job, by_chance, snapshot, RULES, rooms)}
    assert "--gpus '4090:1'" in flags
    assert not flags & {"--gpus '2'", "no --node"}
