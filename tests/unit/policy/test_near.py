"""Which GPUs of a node a job gets where the driver tells what is near."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from builders import GB, holding_job, make_job, make_node, make_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from labq.gpu_request import parse_gpus
from labq.job import GpuHold
from labq.neighbours import Neighbours, Tie, neighbours_of
from labq.node import Node
from labq_scheduler.decide import decide
from labq_scheduler.decisions import Decisions
from labq_scheduler.policy import near as module
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.near import nearest
from labq_scheduler.policy.room import Fit, Room
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.shape import Shape

pytestmark = pytest.mark.unit

ANY = "01234567"


def groups(uuids: str, **ties: str) -> Neighbours:
    """Return neighbours whose uuids are letters: ``groups("abcd", nvlink="ab cd")``."""
    pairs = {
        Tie(tie): [pair for group in texts.split() for pair in combinations(group, 2)]
        for tie, texts in ties.items()
    }
    return neighbours_of(uuids, pairs)


def linked(node: Node, **ties: str) -> Node:
    """Return the node with GPUs that are near, by index: ``nvlink="01 23"``."""
    named = {
        tie: [[f"{node.name}-{i}" for i in group] for group in text.split()] for tie, text in ties.items()
    }
    return replace(node, near=Neighbours.from_wire(named, [gpu.uuid for gpu in node.gpus]))


def chosen(near: Neighbours, free: str, count: int, sure: str = "", others: str = "") -> str:
    return "".join(nearest(near, sure, free, others, count))


def one_start(decisions: Decisions) -> tuple[str, str]:
    """Return the node and the indices of the GPUs of the only start."""
    (start,) = decisions.starts
    return start.node, "".join(hold.uuid.rpartition("-")[2] for hold in start.fit.gpus)


# -- on one node --------------------------------------------------------------------------------------------------

PAIRED = groups("abcdefgh", nvlink="ab cd ef gh", numa="abcd efgh")


@pytest.mark.parametrize(
    ("free", "count", "gets"),
    [
        ("abcdefgh", 1, "a"), ("bcdefgh", 1, "b"), ("abcdeghf"[:7], 1, "e"), ("cdefh", 1, "h"),
        ("abcdefgh", 2, "ab"), ("bcdefgh", 2, "cd"), ("bcfgh", 2, "gh"), ("bce", 2, "bc"), ("bfh", 2, "fh"),
        ("abcdefgh", 3, "abc"), ("bcdefgh", 3, "bcd"), ("bcefgh", 4, "efgh"), ("abcdefg", 4, "abcd"),
    ],
)  # fmt: skip
def test_pairs_joined_by_nvlink_on_two_processors(free: str, count: int, gets: str) -> None:
    assert chosen(PAIRED, free, count) == gets


def test_nvlink_is_nearer_than_a_switch_and_a_switch_than_a_processor() -> None:
    near = groups("abcdef", nvlink="ef", switch="cd", numa="ab")
    assert chosen(near, "abcdef", 2) == "ef"
    assert chosen(near, "abcd", 2) == "cd"
    assert chosen(near, "abce", 2) == "ab"


def test_where_nvswitch_joins_all_those_of_one_processor_are_taken() -> None:
    near = groups("abcdefgh", nvlink="abcdefgh", numa="abcd efgh")
    assert chosen(near, "bcefgh", 3) == "efg"
    assert chosen(near, "bcefgh", 2) == "bc"


def test_those_that_a_job_gets_anyway_count_too() -> None:
    near = groups("abcd", nvlink="ad bc")
    assert chosen(near, "bcd", 1, sure="a") == "d"


def test_a_single_gpu_is_not_taken_from_a_pair_with_one_of_another_model() -> None:
    near = groups("abc", nvlink="ac")
    assert chosen(near, "ab", 1, others="c") == "b"


NEARS = st.builds(
    lambda nvlink, switch, numa: neighbours_of(
        "abcdefg", {Tie.NVLINK: nvlink, Tie.SWITCH: switch, Tie.NUMA: numa}
    ),
    *[st.sets(st.sampled_from(list(combinations("abcdefg", 2))))] * 3,
)


def plainly(near: Neighbours, pool: str, others: str, count: int) -> list[tuple[Any, ...]]:
    """Return how good each set is, worst first: the module's rule, in as many words."""

    def pairs(some: list[tuple[str, str]]) -> list[int]:
        return [sum(near.near(*pair) == level for pair in some) for level in (5, 4, 3, 2, 1)]

    rows = []
    for some in combinations(pool, count):
        inside = list(combinations(some, 2))
        left = [uuid for uuid in pool + others if uuid not in some]
        torn = pairs([(one, other) for one in some for other in left])
        farthest = min((near.near(*pair) for pair in inside), default=0)
        rows.append((farthest, pairs(inside), [-number for number in torn], some))
    return sorted(rows, key=lambda row: row[:3])


@given(NEARS, st.sets(st.sampled_from("abcdefg"), min_size=1), st.integers(1, 7), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_set_is_better_than_the_one_that_is_chosen(
    near: Neighbours, free: set[str], count: int, some: bool
) -> None:
    pool = "".join(sorted(free))
    others = "".join(sorted(set("abcdefg") - free)) if some else ""
    count = min(count, len(pool))
    got = tuple(chosen(near, pool, count, others=others))
    rows = plainly(near, pool, others, count)
    best = [row for row in rows if row[:3] == rows[-1][:3]]
    assert got == min(row[3] for row in best)


@given(st.sets(st.sampled_from(range(16)), min_size=2), st.integers(1, 15))
@settings(max_examples=200, deadline=None)
def test_where_there_are_too_many_sets_to_compare_one_as_near_is_grown(free: set[int], count: int) -> None:
    uuids = "abcdefghijklmnop"
    near = groups(
        uuids, nvlink="ab cd ef gh ij kl mn op", switch="abcd efgh ijkl mnop", numa="abcdefgh ijklmnop"
    )
    pool = "".join(uuids[i] for i in sorted(free))
    count = min(count, len(pool))
    table = tuple(tuple(near.near(one, other) for other in pool) for one in pool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TRIES", 20_000)
        every = module._chosen.__wrapped__(table, 0, len(pool), count)
        patch.setattr(module, "TRIES", 0)
        grown = module._chosen.__wrapped__(table, 0, len(pool), count)

    def farthest(places: tuple[int, ...]) -> int:
        return min((table[one][other] for one, other in combinations(places, 2)), default=0)

    assert len(set(grown)) == len(every) == count
    assert farthest(grown) == farthest(every)


# -- in a room ----------------------------------------------------------------------------------------------------


def mixed(near: Neighbours) -> Node:
    """Return a node with three kinds of cards, whose uuids are letters."""
    node = make_node("n1", gpus=7, cpus=64)
    kinds = [
        ("A100", 40),
        ("A100", 40),
        ("RTX 4090", 24),
        ("RTX 4090", 24),
        ("RTX 4090", 24),
        ("A100", 80),
        ("A100", 80),
    ]
    gpus = tuple(
        replace(gpu, uuid=uuid, model=model, memory=memory * GB)
        for gpu, uuid, (model, memory) in zip(node.gpus, "abcdefg", kinds, strict=True)
    )
    return replace(node, gpus=gpus, near=near)


@given(
    NEARS,
    st.sampled_from(
        ["1", "2", "3", "4", "6", "a100:2", "a100:3", "30GB+:2", "rtx-4090|a100:3", "share:8GB", "share:30GB"]
    ),
    st.sets(st.sampled_from("abcdefg"), max_size=5),
    st.sets(st.sampled_from("abcdefg"), max_size=2),
)
@settings(max_examples=300, deadline=None)
def test_what_is_near_never_changes_what_fits_nor_which_kinds_of_cards_a_job_gets(
    near: Neighbours, gpus: str, busy: set[str], avoid: set[str]
) -> None:
    def fit(node: Node) -> Fit | None:
        room = Room.empty(node)
        for place, uuid in enumerate(sorted(busy)):
            room.take(Fit((GpuHold(uuid, 4 * GB if place % 2 else 0),), 1.0, GB))
        return room.fit(Shape(parse_gpus(gpus), cpus=1.0, memory=GB), avoid=frozenset(avoid))

    node = mixed(near)
    told, untold = fit(node), fit(replace(node, near=Neighbours()))
    assert (told is None) == (untold is None)
    if told is None or untold is None:
        return
    kinds: Mapping[str, tuple[str, int]] = {gpu.uuid: (gpu.model, gpu.memory) for gpu in node.gpus}
    assert sorted(kinds[hold.uuid] for hold in told.gpus) == sorted(kinds[hold.uuid] for hold in untold.gpus)
    assert len({hold.uuid for hold in told.gpus} - avoid) == len(untold.gpus)


def test_a_share_goes_to_a_gpu_that_is_shared_already_else_to_one_that_breaks_no_pair() -> None:
    room = Room.empty(linked(make_node(gpus=5), nvlink="01 34"))
    shape = Shape(parse_gpus("share:8GB"), cpus=1.0, memory=GB)
    first = room.fits(shape)
    assert first is not None
    assert first.gpus[0].uuid == "n1-2"
    room.take(first)
    assert room.fits(shape) == first


# -- among nodes --------------------------------------------------------------------------------------------------


def test_a_job_goes_where_its_gpus_are_joined_and_its_start_says_so() -> None:
    nodes = [make_node("n1", gpus=2), linked(make_node("n2", gpus=2), nvlink="01")]
    decisions = decide(make_snapshot([make_job("1", gpus="2")], nodes), Rules())
    assert one_start(decisions) == ("n2", "01")
    assert decisions.starts[0].why == "n2 has room for it, on 2 GPUs joined by NVLink"
    alone = decide(make_snapshot([make_job("1", gpus="1")], nodes), Rules())
    assert (one_start(alone), alone.starts[0].why) == (("n1", "0"), "n1 has room for it")


def test_joined_gpus_are_worth_a_fuller_node_but_neither_a_larger_node_nor_a_larger_card() -> None:
    fuller = make_node("n1", gpus=4)
    joined = linked(make_node("n2", gpus=4), nvlink="01 23")
    busy = [holding_job("9", "n1", "n1-0", "n1-1")]
    job = make_job("1", gpus="2")
    assert one_start(decide(make_snapshot([job], [fuller, joined], running=busy), Rules())) == ("n2", "01")
    for other in (make_node("n2", gpus=8), make_node("n2", gpus=4, gpu_memory=80 * GB)):
        nodes = [fuller, linked(other, nvlink=ANY)]
        assert one_start(decide(make_snapshot([job], nodes), Rules()))[0] == "n1"


def test_of_two_linked_pairs_with_one_gpu_busy_a_single_job_gets_the_broken_pair_and_a_double_the_other() -> (
    None
):
    node = linked(make_node("n1", gpus=4), nvlink="01 23", numa="0123")
    busy = [holding_job("9", "n1", "n1-2")]
    for gpus, gets in (("1", "3"), ("2", "01")):
        seen = make_snapshot([make_job("1", gpus=gpus)], [node], running=busy)
        assert one_start(decide(seen, Rules())) == ("n1", gets)


def test_a_single_job_breaks_no_pair_where_another_node_is_as_good() -> None:
    nodes = [linked(make_node("n1", gpus=2), nvlink="01"), make_node("n2", gpus=2)]
    assert one_start(decide(make_snapshot([make_job("1", gpus="1")], nodes), Rules())) == ("n2", "0")


def test_a_job_that_passes_leaves_alone_what_is_kept_though_it_is_nearer() -> None:
    node = linked(make_node("n1", gpus=6), nvlink="01 23 45")
    running = [holding_job("9", "n1", "n1-0", "n1-2", started_at=9_000.0, time="1h")]
    wide = replace(make_job("1", gpus="5", priority="urgent"), owner="eve")
    seen = make_snapshot([wide, make_job("2", gpus="2")], [node], running=running)
    decisions = decide(seen, Rules())
    assert decisions.reservation is not None
    kept = {hold.uuid for hold in decisions.reservation.fit.gpus}
    for start in decisions.starts:
        assert not kept & {hold.uuid for hold in start.fit.gpus}


def test_a_node_whose_driver_tells_later_is_looked_at_anew() -> None:
    ground, node = Ground(), make_node("n1", gpus=4)
    busy = [holding_job("9", "n1", "n1-0")]
    job = make_job("1", gpus="2")
    assert one_start(decide(make_snapshot([job], [node], running=busy), Rules(), ground)) == ("n1", "12")
    told = linked(node, nvlink="01 23")
    assert one_start(decide(make_snapshot([job], [told], running=busy), Rules(), ground)) == ("n1", "23")


@given(st.lists(st.sampled_from(["1", "2", "4", "share:8GB"]), min_size=1, max_size=12), st.randoms())
@settings(max_examples=100, deadline=None)
def test_no_gpu_is_held_twice_and_the_order_of_nodes_means_nothing(gpus: list[str], random: Any) -> None:
    nodes = [
        linked(make_node("n0", gpus=4, cpus=64), nvlink="01 23", numa="0123"),
        linked(make_node("n1", gpus=4, cpus=64), nvlink="0123"),
        make_node("n2", gpus=4, cpus=64),
    ]
    jobs = [make_job(str(n), gpus=text, cpus=1, memory="1GB") for n, text in enumerate(gpus, 1)]
    decisions = decide(make_snapshot(jobs, nodes), Rules())
    rooms = {node.name: Room.empty(node) for node in nodes}
    for start in decisions.starts:
        rooms[start.node].take(start.fit)
    assert all(free >= 0 for room in rooms.values() for free in room.gpus.values())
    random.shuffle(nodes)
    again = decide(make_snapshot(jobs, nodes), Rules())
    assert [(s.job.id, s.node, s.fit) for s in again.starts] == [
        (s.job.id, s.node, s.fit) for s in decisions.starts
    ]
