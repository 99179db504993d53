"""What is said to somebody whose constraints no node satisfies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import make_node, make_spec

from labq_scheduler.policy.fit import nearest_fit

NODES = [
    replace(make_node("gpu01"), labels={"rack": "a", "group": "vision"}),
    replace(make_node("gpu02"), labels={"rack": "b"}),
]


@pytest.mark.parametrize(
    ("wanted", "near"),
    [("rak=a", "rack=a"), ("group=visoin", "group=vision"), ("gpu1", "gpu01"), ("owner=ann", "")],
)
def test_the_nearest_and_all_that_are_legal_are_named(wanted: str, near: str) -> None:
    said = nearest_fit(make_spec(nodes=[wanted], gpus="0"), NODES)
    hint = f"did you mean {near}? " if near else ""
    expected = f"{hint}nodes: gpu01, gpu02; labels: group=vision, rack=a, rack=b"
    assert said == f"no node satisfies {wanted}; {expected}"


def test_constraints_that_hold_alone_and_not_together_are_both_named() -> None:
    said = nearest_fit(make_spec(nodes=["gpu02", "rack=a"], gpus="0"), NODES)
    assert said is not None
    assert said.startswith("no node satisfies gpu02 rack=a; nodes: gpu01, gpu02; labels:")


def test_labels_are_constraints() -> None:
    assert nearest_fit(make_spec(nodes=["rack=a", "group=vision"], gpus="0"), NODES) is None
    assert nearest_fit(make_spec(nodes=["rack!=a"], gpus="0"), NODES) is None


def test_a_job_without_gpus_is_told_of_cores_and_not_of_gpus() -> None:
    said = nearest_fit(make_spec(gpus="0", cpus=999), NODES)
    assert said is not None
    assert said.startswith("no node has 999 cores")
    assert (nearest_fit(make_spec(gpus="1", cpus=999), [make_node(gpus=1)]) or "").startswith(
        "no node with such GPUs has 999 cores"
    )
