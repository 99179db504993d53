"""Which events are news, for whom, and what is kept of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from builders import GB, make_job, make_node

from labq.ending import RULES, EndReason
from labq.job import Attempt, GpuHold, Job, encode
from labq.notify import Preferences, preferences
from labq.states import JobState
from labq.store import Event
from labq_scheduler.notify.choose import SWEEP, notice
from labq_scheduler.notify.news import News, array_news, concerns, read_event

NODE = make_node(gpus=2)
HOUR_23 = 23 * 3600.0


def moved(to: str, by: str = "agent n1", **fields: str) -> Event:
    said = {"type": "moved", "at": "3000", "id": "1", "from": "running", "to": to, "owner": "ann", "by": by}
    return Event("5-0", {**said, "set": "{}", **fields})


def over(reason: EndReason, verdict: str = "It is over.") -> Job:
    job = make_job("1", RULES[reason].state, name="train")
    return replace(
        job, end_reason=reason, verdict=verdict, started_at=2900.0, node="n1", memory=16 * GB, gpus=(GpuHold("n1-0"),)
    )  # fmt: skip


@pytest.mark.parametrize("reason", list(EndReason))
def test_every_way_to_end_is_told_or_is_what_its_owner_did(reason: EndReason) -> None:
    job = over(reason)
    found = read_event(moved(job.state, by="root"), job, NODE)
    if reason is EndReason.CANCELLED_BY_USER:
        assert found is None
        return
    assert found is not None
    assert (found.kind, found.sentence, found.reason) == (str(job.state), "It is over.", str(reason))
    assert str(job.state) in found.events


def test_what_the_verdict_says_of_memory_is_set_against_what_was_given() -> None:
    job = over(EndReason.COMPLETED, "Succeeded after 1m40s, peak memory 12.5GB.")
    found = read_event(moved("succeeded"), job, NODE)
    assert found is not None
    assert (found.peak, found.memory, found.duration, found.waited) == ("12.5GB", 16 * GB, 100.0, 1899.0)
    assert found.models == ("NVIDIA GeForce RTX 4090",)
    killed = over(
        EndReason.OUT_OF_MEMORY, "Failed: out of memory: it reached its limit of 16GB (peak 15.9GB)."
    )
    again = read_event(moved("failed"), killed, None)
    assert again is not None
    assert (again.peak, again.models) == ("15.9GB", ())


@pytest.mark.parametrize("reason", [EndReason.PREEMPTED, EndReason.NODE_LOST, EndReason.EXIT_CODE])
def test_a_job_that_waits_again_tells_of_the_attempt_that_is_over_and_not_of_the_next(
    reason: EndReason,
) -> None:
    last = Attempt(2, "n1", ("n1-0",), "l", 2000.0, 2600.0, 1, reason, "Failed: so.")
    now_running = replace(make_job("1", JobState.RUNNING), node="n9", started_at=2990.0)
    event = moved("queued", set=json.dumps({"attempts": encode("attempts", (last,))}))
    found = read_event(event, now_running, NODE)
    assert found is not None
    assert (found.kind, found.attempt, found.duration, found.node) == ("requeued", 2, 600.0, "n1")
    assert (found.sentence, found.gpus) == ("Failed: so.", 1)


def test_a_start_that_was_rejected_and_moves_that_end_nothing_are_no_news() -> None:
    last = Attempt(1, "n1", (), "l", None, 2600.0, None, EndReason.START_REJECTED, "Later.")
    event = moved("queued", set=json.dumps({"attempts": encode("attempts", (last,))}))
    assert read_event(event, make_job("1"), None) is None
    assert concerns(moved("running")) is None
    assert concerns(Event("1-0", {"type": "node", "node": "n1", "what": "lost"})) is None
    assert concerns(Event("1-0", {"type": "submitted", "id": "1"})) is None
    # Of a labq that writes them otherwise: it must not stop what comes after it.
    assert concerns(Event("1-0", {"type": "moved", "id": "1"})) is None
    assert concerns(Event("1-0", {"type": "moved", "to": "failed"})) is None


def test_news_are_read_back_as_they_were_and_a_newer_key_is_left_out() -> None:
    found = read_event(moved("failed"), over(EndReason.EXIT_CODE), NODE)
    assert found is not None
    assert News.from_json(found.to_json()) == found
    array = array_news("1", [over(EndReason.COMPLETED), over(EndReason.EXIT_CODE)], 5.0)
    assert News.from_json(array.to_json()) == array
    newer = json.dumps(json.loads(found.to_json()) | {"mood": "sad"})
    assert News.from_json(newer) == found


def test_an_array_lists_what_failed_first_and_counts_the_rest() -> None:
    good = [replace(over(EndReason.COMPLETED), id=f"1.{i}", index=i) for i in range(30)]
    bad = replace(over(EndReason.EXIT_CODE), id="1.30", index=30)
    found = array_news("1", [*good, bad], 4000.0)
    assert found.counts == (("failed", 1), ("succeeded", 30))
    assert [row[0] for row in found.rows[:2]] == ["1.30", "1.0"]
    assert len(found.rows) == 20


def wanted(**said: object) -> Preferences:
    return preferences(said, Preferences())


def news(kind: str = "failed", **fields: object) -> News:
    plain = News(kind=kind, events=(kind,), owner="ann", at=HOUR_23, job="1", name="a", duration=100.0)
    return replace(plain, **fields)  # type: ignore[arg-type]


def test_only_what_is_wanted_becomes_a_notice() -> None:
    assert notice(news(), "n", wanted(events="succeeded"), HOUR_23) is None
    assert notice(news(), "n", wanted(channel="none"), HOUR_23) is None
    assert notice(news("succeeded"), "n", wanted(longer_than="101s"), HOUR_23) is None
    assert notice(news("succeeded"), "n", wanted(longer_than="100s"), HOUR_23) is not None
    assert notice(news("failed", duration=None), "n", wanted(), HOUR_23) is not None
    assert (
        notice(news("failed", events=("failed", "waiting")), "n", wanted(events="waiting"), HOUR_23)
        is not None
    )
    assert notice(news("test", events=()), "n", wanted(events="none"), HOUR_23) is not None


def test_quiet_hours_hold_all_but_what_would_come_too_late() -> None:
    quiet = wanted(quiet="22:00-08:00", events="all")
    held = notice(news(), "n", quiet, HOUR_23)
    assert held is not None
    assert (held.due, held.gather) == (32 * 3600.0, "quiet:ann")
    urgent = notice(news("idle", ends_at=31 * 3600.0), "n", quiet, HOUR_23)
    assert urgent is not None
    assert urgent.due == 0.0
    test = notice(news("test", events=()), "n", quiet, HOUR_23)
    assert test is not None
    assert test.due == 0.0


def test_quiet_hours_are_those_in_which_it_would_be_told_not_those_in_which_it_happened() -> None:
    quiet = wanted(quiet="22:00-08:00")
    evening = notice(news(at=21 * 3600.0), "n", quiet, HOUR_23)
    assert evening is not None
    assert evening.due == 32 * 3600.0
    morning = notice(news(at=31.9 * 3600.0), "n", quiet, 32.1 * 3600.0)
    assert morning is not None
    assert morning.due == 0.0


def test_what_is_alike_is_gathered_and_what_is_not_is_not() -> None:
    def name(one: News, **said: object) -> str:
        found = notice(one, "n", wanted(events="all", **said), HOUR_23)
        assert found is not None
        assert found.window in {0.0, SWEEP}
        return found.gather

    # The end of an attempt is gathered with the end of its job, or it could be told after it.
    assert name(news()) == name(news("succeeded")) == name(news("requeued")) != ""
    assert (
        len(
            {
                name(news()),
                name(news(name="b")),
                name(news(owner="bob")),
                name(news("idle")),
                name(news(array="7")),
            }
        )
        == 5
    )
    assert name(news(), digest="off") == ""
    assert name(news("array", events=("succeeded",))) == ""
