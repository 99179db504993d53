"""Heartbeats of old, new and mad agents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labq.readings import read_readings

GOOD: dict[str, Any] = {
    "state": "busy", "memory_used": 2**30, "utilization": 50, "temperature": None, "power": 300.5,
    "holders": [{"user": "bob", "source": "mount", "since": 1000.0, "memory": 5, "processes": 2, "busy": True, "container": "web"}],
}  # fmt: skip


def test_what_an_agent_says_is_read_as_it_says_it() -> None:
    found = read_readings(json.dumps({"clock": 5.0, "gpus": {"g": GOOD, "old": {"memory_used": 1}}}))
    assert found == {"clock": 5.0, "gpus": {"g": GOOD, "old": {"memory_used": 1, "holders": []}}}


@pytest.mark.parametrize(
    "said",
    [
        None, 3, "x", [], {"holders": None}, {"holders": ["bob"]}, {"holders": [{}]}, {"holders": [{"user": 3}]},
        {"holders": [{"user": "bob", "since": "yesterday"}]}, {"holders": [{"user": "bob", "since": float("nan")}]},
        {"holders": [{"user": "bob", "since": 1e300}]}, {"holders": [{"user": "bob", "container": ["x"]}]},
        {"holders": [{"user": "bob", "job": 7}]}, {"memory_used": "much"}, {"utilization": float("inf")}, {"power": -1},
        {"memory_used": True}, {"state": ["busy"]}, {"holders": [{"user": "x"}] * 100},
    ],
)  # fmt: skip
def test_a_gpu_of_which_nonsense_is_said_is_one_that_nobody_looked_at(said: Any) -> None:
    found = read_readings(json.dumps({"gpus": {"bad": said, "good": GOOD}}))
    assert found["gpus"] == {"good": GOOD}
    assert "'bad' cannot be read" in found["bad"]


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '"x"', '{"gpus": []}', '{"gpus": 3}', "[" * 100_000])
def test_a_heartbeat_of_nonsense_says_nothing(text: str) -> None:
    found = read_readings(text)
    assert found["gpus"] == {}
    assert "heartbeat" in found["bad"]


def test_texts_are_cut_and_can_be_written() -> None:
    told = {"gpus": {"g": {"holders": [{"user": "a" * 5000, "container": "\ud800"}]}}}
    (holder,) = read_readings(json.dumps(told))["gpus"]["g"]["holders"]
    assert len(holder["user"]) == 300
    holder["container"].encode()
