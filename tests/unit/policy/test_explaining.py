"""What would be decided now is worked out while somebody asks, once a second at most."""

from __future__ import annotations

from dataclasses import replace

from builders import holding_job, make_job, make_node, make_snapshot

from labq_scheduler.decide import decide
from labq_scheduler.explaining import Explaining, Explanation
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.why import why_waiting
from labq_scheduler.snapshot import Snapshot, class_key


def _busy(now: float = 10_000.0) -> Snapshot:
    """Return a lab in which one job runs and three wait, two of which are alike."""
    waiting = [make_job("2", gpus="1"), make_job("3", gpus="1"), make_job("4", gpus="2")]
    running = [holding_job("1", "n1", "n1-0", started_at=now)]
    return make_snapshot(waiting, [make_node(gpus=2), make_node("n2", gpus=1)], now=now, running=running)


def test_what_is_said_of_a_class_is_what_a_look_at_every_node_says() -> None:
    seen, ground = _busy(), Ground()
    found = Explanation(seen, decide(seen, Rules(), ground), ground)
    keys = list(seen.queue.keys)
    assert len(keys) == 2
    for key, jobs in zip(keys, seen.queue.jobs, strict=True):
        assert found.why(key, jobs[0]) == why_waiting(key, jobs[0], seen, found.decisions)


def test_of_many_nodes_that_are_away_four_are_named() -> None:
    nodes = [replace(make_node(f"n{number}", gpus=1), drained="moving") for number in range(125)]
    seen, ground = make_snapshot([make_job("2", gpus="1")], nodes), Ground()
    said = Explanation(seen, decide(seen, Rules(), ground), ground).why(
        seen.queue.keys[0], seen.queue.jobs[0][0]
    )
    assert said is not None
    assert said.startswith("every node that could hold it is away: n0 is drained: moving, n1 is")
    assert said.endswith("n3 is drained: moving, and 121 more")


def test_nothing_is_said_of_a_class_that_was_not_there() -> None:
    seen, ground = _busy(), Ground()
    found = Explanation(seen, decide(seen, Rules(), ground), ground)
    other = make_job("9", gpus="1", cpus=2)
    assert found.why(class_key(other, seen.runtimes), other) is None


def test_whoever_asks_again_within_a_second_gets_the_same() -> None:
    asked: list[float] = []

    def snapshot(now: float) -> Snapshot:
        asked.append(now)
        return _busy(now)

    explaining = Explaining(snapshot, Rules)
    assert explaining() is explaining()
    assert len(asked) == 1


def test_to_think_ahead_changes_nothing_of_what_was_found() -> None:
    found = Explaining(_busy, Rules)()
    copy = found.ground()
    copy.places.clear()
    assert found.ground().places.keys() == {"n1", "n2"}
