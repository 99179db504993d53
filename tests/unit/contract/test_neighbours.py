"""Which GPUs are near each other: what a node says, and what is believed of it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from builders import make_node
from hypothesis import given
from hypothesis import strategies as st

from labq.neighbours import MOST_GPUS, NEARER, Neighbours, Pair, Tie, in_words, neighbours_of
from labq.node import Node
from labq.wire import node_view

pytestmark = pytest.mark.unit

UUIDS = tuple("abcdef")
PAIRS = st.sets(st.sampled_from(list(combinations(UUIDS, 2))))
TIES = st.fixed_dictionaries(dict.fromkeys(Tie, PAIRS))


@given(TIES)
def test_the_groups_say_just_the_pairs_that_they_were_made_of(ties: dict[Tie, set[Pair]]) -> None:
    found = neighbours_of(UUIDS, ties)
    for pair in combinations(UUIDS, 2):
        sits = next((NEARER[tie] for tie in (Tie.SWITCH, Tie.NUMA) if pair in ties[tie]), 0)
        linked = NEARER[Tie.NVLINK] if pair in ties[Tie.NVLINK] else 0
        assert found.near(*pair) == found.near(*reversed(pair)) == sits + linked


@given(TIES)
def test_a_node_is_read_as_it_was_written(ties: dict[Tie, set[Pair]]) -> None:
    node = make_node("", gpus=6)
    node = replace(
        node, gpus=tuple(replace(gpu, uuid=uuid) for gpu, uuid in zip(node.gpus, UUIDS, strict=True))
    )
    node = replace(node, near=neighbours_of(UUIDS, ties))
    wire = json.loads(json.dumps(node.to_wire()))
    assert Node.from_wire(wire, heartbeat=node.heartbeat) == node


def test_a_machine_with_nvswitch_says_it_in_a_few_words() -> None:
    uuids = [f"GPU-{i}" for i in range(8)]
    ties = {Tie.NVLINK: set(combinations(uuids, 2)), Tie.NUMA: set(combinations(uuids[:4], 2))}
    assert neighbours_of(uuids, ties).to_wire() == {"nvlink": [uuids], "numa": [uuids[:4]]}


def test_nvlink_that_does_not_reach_everybody_is_not_made_to() -> None:
    # four in a square, as in the quads of older machines
    square: list[Pair] = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]
    found = neighbours_of("abcd", {Tie.NVLINK: square})
    assert [found.near(*pair) for pair in square] == [3, 3, 3, 3]
    assert found.near("a", "c") == found.near("b", "d") == 0


def test_a_node_of_an_older_agent_says_nothing_of_it() -> None:
    body = make_node(gpus=2).to_wire()
    del body["near"]
    assert Node.from_wire(body).near == Neighbours()


@pytest.mark.parametrize(
    "said",
    [
        None, 3, "nvlink", [], [["a", "b"]], {"nvlink": None}, {"nvlink": "ab"}, {"nvlink": ["ab"]},
        {"nvlink": [["a", 2]]}, {"nvlink": [["a", ["b"]]]}, {"numa": {"a": "b"}}, {"nvlink": [["a"] * 100]},
        {"nvlink": [["a", "b"]] * 1000}, {"nvlink": [["a"]]}, {"nvlink": [["a", "a"]]}, {"nvlink": [["a", "x"]]},
        {"pigeons": [["a", "b"]]},
    ],
)  # fmt: skip
def test_nonsense_is_no_knowledge_and_the_node_stays(said: Any) -> None:
    assert Neighbours.from_wire(said, UUIDS) == Neighbours()
    body = make_node(gpus=2).to_wire()
    assert len(Node.from_wire(body | {"near": said}).gpus) == 2


def test_gpus_that_the_node_does_not_have_are_left_out_and_no_more_are_believed_than_machines_have() -> None:
    assert Neighbours.from_wire({"numa": [["x", "b", "a"]]}, UUIDS).to_wire() == {"numa": [["a", "b"]]}
    many = [f"g{i}" for i in range(MOST_GPUS + 1)]
    assert Neighbours.from_wire({"nvlink": [many[:8]]}, many) == Neighbours()
    assert Neighbours.from_wire({"nvlink": [many[:8]]}, many[:-1]).near("g0", "g7") == 3


def test_when_a_gpu_goes_the_others_are_as_near_as_before() -> None:
    found = Neighbours(((Tie.NVLINK, ("a", "b", "c")), (Tie.NUMA, ("c", "d"))))
    assert found.among(["a", "b", "d"]) == Neighbours(((Tie.NVLINK, ("a", "b")),))


@pytest.mark.parametrize(("near", "words"), [(0, ""), (1, "NUMA"), (2, "PCIe"), (3, "NVLink"), (5, "NVLink")])
def test_how_near_is_said_in_words(near: int, words: str) -> None:
    assert words in in_words(near)
    assert bool(in_words(near)) == bool(words)


def test_people_see_slots() -> None:
    node = replace(
        make_node("n1", gpus=3),
        near=Neighbours(((Tie.NVLINK, ("n1-0", "n1-2")), (Tie.NUMA, ("n1-1", "gone")))),
    )
    assert node_view(node, {}, {}, 0.0)["near"] == {"nvlink": [["0", "2"]]}
