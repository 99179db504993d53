"""Nodes that the rules keep for some people for a while."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import holding_job, make_job, make_node, make_snapshot
from hypothesis import given
from hypothesis import strategies as st

from labq.job import Job
from labq_scheduler.decide import decide
from labq_scheduler.decisions import Decisions
from labq_scheduler.policy.rules import Rules, Window
from labq_scheduler.policy.why import why_waiting
from labq_scheduler.snapshot import kind_of

pytestmark = pytest.mark.unit
HOUR = 3600.0
NOW = 100_000.0


def rules(*, begin: float = 0.0, until: float = 10 * HOUR, nodes: tuple[str, ...] = ("n1",)) -> Rules:
    window = Window("course", nodes, ("@vision", "carl"), NOW + begin, NOW + until)
    return Rules(windows=(window,), groups={"vera": "vision"})


def job(number: int, owner: str = "ann", **wire: Any) -> Job:
    return replace(make_job(str(number), gpus="1", **wire), owner=owner)


def started(decisions: Decisions) -> dict[str, str]:
    return {start.job.id: start.node for start in decisions.starts}


def test_others_start_nothing_there_while_it_lasts_and_its_people_do() -> None:
    jobs = [job(1), job(2, "carl"), job(3, "vera")]
    found = decide(make_snapshot(jobs, [make_node("n1", gpus=4)], now=NOW), rules())
    assert started(found) == {"2": "n1", "3": "n1"}


def test_others_start_elsewhere() -> None:
    nodes = [make_node("n1", gpus=1), make_node("n2", gpus=8)]
    assert started(decide(make_snapshot([job(1)], nodes, now=NOW), rules())) == {"1": "n2"}


def test_before_it_a_job_starts_that_its_limit_ends_in_time() -> None:
    jobs = [job(1, time="1h"), job(2, time="3h")]
    found = decide(make_snapshot(jobs, [make_node("n1", gpus=4)], now=NOW), rules(begin=2 * HOUR))
    assert started(found) == {"1": "n1"}


def test_without_a_limit_the_expected_run_time_counts() -> None:
    snapshot = make_snapshot([job(1)], [make_node("n1", gpus=4)], now=NOW)
    safe = float(snapshot.queue.columns.safe[0])
    assert started(decide(snapshot, rules(begin=safe + 1, until=safe + 2))) == {"1": "n1"}
    assert started(decide(snapshot, rules(begin=safe - 1, until=safe + 2))) == {}


def test_when_it_is_over_everybody_starts_there() -> None:
    snapshot = make_snapshot([job(1)], [make_node("n1", gpus=1)], now=NOW)
    assert started(decide(snapshot, rules(begin=-HOUR, until=0.0))) == {"1": "n1"}


def test_a_window_without_nodes_is_about_all_and_labels_name_many() -> None:
    nodes = [make_node("n1", gpus=1, rack="a"), make_node("n2", gpus=1, rack="b")]
    snapshot = make_snapshot([job(1)], nodes, now=NOW)
    assert started(decide(snapshot, rules(nodes=()))) == {}
    assert started(decide(snapshot, rules(nodes=("rack=a",)))) == {"1": "n2"}
    assert started(decide(snapshot, rules(nodes=("rack=b",)))) == {"1": "n1"}


def test_a_job_that_may_run_nowhere_else_is_told_why_and_reserves_nothing() -> None:
    one = job(1)
    snapshot = make_snapshot([one, job(2, "carl")], [make_node("n1", gpus=1)], now=NOW)
    found = decide(snapshot, rules())
    assert started(found) == {"2": "n1"}
    assert found.reservation is None
    key = next(key for key in snapshot.queue.keys if key.owner == "ann")
    said = why_waiting(key, one, snapshot, found)
    assert said.startswith("the lab's rules keep n1 for @vision, carl from 1970-01-02 03:46 UTC until ")
    assert said.endswith("(course)")


def test_who_is_kept_from_a_node_by_what_comes_is_told_that_a_limit_helps() -> None:
    snapshot = make_snapshot([job(1)], [make_node("n1", gpus=1)], now=NOW)
    found = decide(snapshot, rules(begin=60.0))
    (said,) = found.said.values()
    assert said.endswith("(course); a shorter time limit, --time, might let it end before")


def test_a_reservation_for_a_large_job_is_made_where_it_may_start() -> None:
    nodes = [make_node("n1", gpus=2), make_node("n2", gpus=2)]
    running = [holding_job("8", "n1", "n1-0", started_at=NOW), holding_job("9", "n2", "n2-0", started_at=NOW)]
    large = replace(make_job("1", gpus="2"), owner="ann")
    found = decide(make_snapshot([large], nodes, now=NOW, running=running), rules())
    assert found.reservation is not None
    assert found.reservation.node == "n2"


def test_an_image_that_is_not_there_is_prepared_while_the_window_lasts() -> None:
    found = decide(make_snapshot([job(1)], [make_node("n1", gpus=1)], now=NOW, ready=False), rules())
    assert [prepare.node for prepare in found.prepares] == ["n1"]


moments = st.floats(-10 * HOUR, 30 * HOUR)
windows = st.lists(
    st.builds(
        lambda number, nodes, people, begin, length: Window(
            f"w{number}", nodes, people, NOW + begin, NOW + begin + length
        ),
        st.integers(),
        st.sampled_from([(), ("n1",), ("n1", "n2"), ("rack=a",)]),
        st.sampled_from([("ann",), ("@vision",), ("carl", "ann")]),
        moments,
        st.floats(1.0, 20 * HOUR),
    ),
    max_size=3,
)
asked = st.lists(
    st.tuples(st.sampled_from(["ann", "carl", "vera"]), st.sampled_from([None, "30m", "6h", "1d"])),
    max_size=8,
)


@given(windows, asked)
def test_nothing_that_may_be_there_when_a_window_begins_is_started_by_others(
    kept: list[Window], wanted: list[tuple[str, str | None]]
) -> None:
    lab = Rules(windows=tuple(kept), groups={"vera": "vision"})
    jobs = [job(n + 1, owner, **({"time": time} if time else {})) for n, (owner, time) in enumerate(wanted)]
    nodes = [
        make_node("n1", gpus=2, rack="a"),
        make_node("n2", gpus=2, rack="b"),
        make_node("n3", gpus=1, rack="a"),
    ]
    snapshot = make_snapshot(jobs, nodes, now=NOW)
    found = decide(snapshot, lab)
    about = {(): {"n1", "n2", "n3"}, ("n1",): {"n1"}, ("n1", "n2"): {"n1", "n2"}, ("rack=a",): {"n1", "n3"}}
    for start in found.starts:
        spec = start.job.spec
        end = NOW + (
            spec.time + spec.grace if spec.time else snapshot.runtimes.estimate(kind_of(start.job), None).safe
        )
        for window in kept:
            forbidden = window.until > NOW and not lab.has(start.job.owner, window.people)
            assert not (forbidden and start.node in about[window.nodes] and end > window.begin)
    if not kept:
        assert len(found.starts) == min(5, len(jobs))
