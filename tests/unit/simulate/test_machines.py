"""Machines in a few words; more of them, and fewer."""

from __future__ import annotations

import pytest

from labq.errors import BadInputError
from labq_scheduler.simulate.changes import added, removed
from labq_scheduler.simulate.machines import parse_machines

GB = 2**30


def test_machines_have_gpus_of_a_model_and_a_size() -> None:
    nodes = parse_machines("2x4, 1x8:a100:80GB")
    assert [(len(node.gpus), node.gpus[0].model, node.gpus[0].memory) for node in nodes] == [
        (4, "card", 24 * GB), (4, "card", 24 * GB), (8, "a100", 80 * GB),
    ]  # fmt: skip
    assert len({gpu.uuid for node in nodes for gpu in node.gpus}) == 16
    assert all(gpu.simulated for node in nodes for gpu in node.gpus)
    assert all(node.takes_work(1e12) for node in nodes)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("14", "machines '14' are not legal"),
        ("", "machines '' are not legal"),
        ("2x4,,1x1", "machines '' are not legal"),
        ("2x4:a100:big", "machines '2x4:a100:big' are not legal"),
        ("2x4:a100:1.2.3GB", "size '1.2.3GB' is not a size"),
        ("20001x1", "more than 20000 nodes"),
        ("1x4,20000x999", "more than 100000 GPUs"),
    ],
)
def test_what_describes_no_machines_is_quoted(text: str, what: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_machines(text)
    assert what in caught.value.what


def test_added_machines_are_others_also_when_they_are_alike() -> None:
    more = added(added(parse_machines("2x4"), "1x4"), "1x1:4090:24GB")
    assert [len(node.gpus) for node in more] == [4, 4, 4, 1]
    assert len({node.name for node in more}) == 4
    assert len({gpu.uuid for node in more for gpu in node.gpus}) == 13


def test_machines_are_removed_by_name_by_size_and_by_model() -> None:
    nodes = parse_machines("3x4:t4,1x4:a100,1x8:a100")
    assert [node.name for node in removed(nodes, "t4-4-002")] == [
        n.name for n in nodes if n.name != "t4-4-002"
    ]
    assert [node.gpus[0].model for node in removed(nodes, "2x4:t4,1x8")] == ["t4", "a100"]
    assert [node.name for node in removed(nodes, "1x4")] == [n.name for n in nodes if n.name != "a100-4-004"]


@pytest.mark.parametrize(
    ("text", "what", "then"),
    [
        ("4x4:t4", "cannot remove 4x4:t4: there are only 3 such", "NODESxGPUS"),
        ("t4-4-01", "there is no machine 't4-4-01'", "did you mean t4-4-001?"),
        ("t4-4-001,t4-4-001", "there is no machine 't4-4-001'", "did you mean"),
    ],
)
def test_what_cannot_be_removed_is_quoted(text: str, what: str, then: str) -> None:
    with pytest.raises(BadInputError) as caught:
        removed(parse_machines("3x4:t4"), text)
    assert what in caught.value.what
    assert then in caught.value.next
