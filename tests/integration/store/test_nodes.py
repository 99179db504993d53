"""Nodes are heard by Redis' clock, whatever their own clocks say."""

from __future__ import annotations

import pytest
from builders import make_node

from labq import clock
from labq.clock import now
from labq.errors import NotFoundError
from labq.store import Store


@pytest.mark.parametrize("skew", [-3600.0, 0.0, 3600.0])
def test_a_nodes_wrong_clock_makes_it_neither_silent_nor_immortal(store: Store, skew: float) -> None:
    store.nodes.register(make_node("n1"), now=now() + skew)
    assert abs(store.nodes.get("n1").heartbeat - now()) < 1
    assert store.nodes.heartbeat("n1", {"gpus": {}}, now=now() + skew)
    ((node, readings),) = store.nodes.all_with_readings()
    assert abs(node.heartbeat - now()) < 1
    assert abs(readings["clock"] - node.heartbeat - skew) < 1


def test_heartbeats_are_told_by_the_readers_clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.nodes.register(make_node("n1"), now=now())
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + 500.0)
    assert abs(store.nodes.get("n1").heartbeat - (real() + 500.0)) < 1


def test_a_node_that_is_lost_or_removed_is_told_to_register_again(store: Store) -> None:
    assert not store.nodes.heartbeat("n1", {}, now=now())
    store.nodes.register(make_node("n1"), now=now())
    store.nodes.set_lost("n1", now=now())
    assert not store.nodes.heartbeat("n1", {}, now=now())
    store.nodes.remove("n1", now=now())
    assert not store.nodes.heartbeat("n1", {}, now=now())
    with pytest.raises(NotFoundError):
        store.nodes.get("n1")
    assert not store.connection.client.exists("labq:node:n1")
