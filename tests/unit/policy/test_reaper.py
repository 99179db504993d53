"""Which nodes count as lost."""

from __future__ import annotations

from dataclasses import replace

from builders import make_node

from labq_scheduler.reaper import silent_nodes


def test_a_lost_node_that_still_holds_jobs_is_dealt_with_again() -> None:
    node = replace(make_node("n1", heartbeat=100.0), alive=False)
    assert silent_nodes([node], now=300.0, grace=120.0, watching_since=0.0, holding={"n1"}) == [node]
    assert silent_nodes([node], now=300.0, grace=120.0, watching_since=0.0) == []
    assert silent_nodes([node], now=200.0, grace=120.0, watching_since=0.0, holding={"n1"}) == []
    assert silent_nodes([node], now=300.0, grace=120.0, watching_since=250.0, holding={"n1"}) == []
