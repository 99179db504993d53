"""Where a card sits, as the kernel tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from labq_worker.gpu_near import numa_node, same_node

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("bus_id", "said", "node"),
    [
        ("00000000:3B:00.0", "1\n", 1),
        ("00000000:3B:00.0", "0\n", 0),
        ("0000:3b:00.0", "1\n", 1),
        # the machine has one node, or its firmware does not say
        ("00000000:3B:00.0", "-1\n", None),
        ("00000000:3B:00.0", "\n", None),
        ("00000000:3C:00.0", "1\n", None),
        ("", "1\n", None),
        ("../../../etc", "1\n", None),
    ],
)
def test_the_numa_node_of_a_card(tmp_path: Path, bus_id: str, said: str, node: int | None) -> None:
    (tmp_path / "0000:3b:00.0").mkdir()
    (tmp_path / "0000:3b:00.0" / "numa_node").write_text(said)
    assert numa_node(bus_id, tmp_path) == node


def test_a_machine_without_sys_says_nothing(tmp_path: Path) -> None:
    assert numa_node("00000000:3B:00.0", tmp_path / "none") is None


def test_a_domain_of_more_than_four_digits_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "10000:e1:00.0").mkdir()
    (tmp_path / "10000:e1:00.0" / "numa_node").write_text("0")
    assert numa_node("00010000:E1:00.0", tmp_path) == 0


def test_only_pairs_of_which_both_are_known_sit_at_one_node() -> None:
    pairs = [("a", "b"), ("a", "c"), ("a", "d"), ("d", "e")]
    assert same_node(pairs, {"a": 0, "b": 0, "c": 1, "d": None}) == {("a", "b")}
