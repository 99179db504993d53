"""The record of a node as an agent wrote it: what makes no sense does not come into a decision."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import make_node

from labq.node import Node

pytestmark = pytest.mark.unit


def test_a_record_is_read_back_alike() -> None:
    node = make_node(gpus=2, rack="a")
    assert Node.from_wire(json.loads(json.dumps(node.to_wire())), heartbeat=node.heartbeat) == node


def test_an_agent_that_does_not_tell_its_disk_is_read() -> None:
    body = make_node().to_wire()
    del body["disk"]
    assert Node.from_wire(body).disk is None
    assert Node.from_wire(body | {"disk": 5}).to_wire()["disk"] == 5


@pytest.mark.parametrize(
    "change",
    [
        {"cpus": float("nan")},
        {"cpus": float("inf")},
        {"cpus": "many"},
        {"memory": -1},
        {"memory": None},
        {"disk": -1},
        {"disk": "much"},
        {"labels": {"rack": {"a": 1}}},
        {"labels": ["rack"]},
        {"gpus": [{"uuid": "u", "index": 0, "model": "A100", "memory": "80GB"}]},
        {"gpus": [{"uuid": "u", "index": 0, "model": None, "memory": 1}]},
        {"gpus": [{"uuid": None, "index": 0, "model": "A100", "memory": 1}]},
        {"gpus": [{"uuid": "u", "index": "0", "model": "A100", "memory": 1}]},
        {"gpus": [{"uuid": "u", "index": 0, "model": "A100", "memory": 1}] * 2},
        {"gpus": [{"uuid": "u", "index": 0, "model": "A100", "memory": 1, "fault": 7}]},
        {"gpus": 4},
        {"name": 4},
    ],
    ids=str,
)
def test_a_record_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Node.from_wire(make_node(gpus=1).to_wire() | change)
