"""The file by which the agent tells the exporter what is leased."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labq.holding.facts import LeaseFacts
from labq.holding.leases import STALE, read_leases, write_leases

LEASE = LeaseFacts("token", "7.2", 1, "ann", {"GPU-0": 0, "GPU-1": 8 * 2**30}, 500.0)


def test_what_is_written_is_read_and_of_all_agents_of_the_machine(tmp_path: Path) -> None:
    write_leases(tmp_path, "n1-aa", [LEASE], now=100.0)
    write_leases(tmp_path, "n1-bb", [], now=100.0)
    assert read_leases(tmp_path, now=101.0) == ([LEASE], [])


def test_it_is_nobody_elses_to_read(tmp_path: Path) -> None:
    write_leases(tmp_path, "n1", [LEASE], now=100.0)
    assert (tmp_path / "leases" / "n1.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("age", [STALE + 1, -STALE - 1])
def test_what_an_agent_wrote_that_died_says_nothing(tmp_path: Path, age: float) -> None:
    write_leases(tmp_path, "n1", [LEASE], now=1000.0)
    found, (why,) = read_leases(tmp_path, now=1000.0 + age)
    assert found == []
    assert "does not run" in why


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"leases": [{}], "written": 100}',
        '{"leases": 3, "written": 100}',
        '{"leases": [], "written": NaN}',
        '{"leases": [], "written": Infinity}',
        '{"leases": [], "written": "100"}',
        '{"leases": {}, "written": 100}',
        "[" * 100_000,
    ],
)
def test_a_broken_file_says_nothing_and_stops_nobody(tmp_path: Path, text: str) -> None:
    write_leases(tmp_path, "good", [LEASE], now=100.0)
    broken = tmp_path / "leases" / "broken.json"
    broken.write_text(text)
    broken.chmod(0o600)
    found, wrong = read_leases(tmp_path, now=100.0)
    assert found == [LEASE]
    assert len(wrong) == 1
    assert str(broken) in wrong[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("token", []),
        ("token", ""),
        ("owner", None),
        ("owner", "a\ud800"),
        ("job", 7),
        ("attempt", "1"),
        ("since", float("nan")),
        ("gpus", ["GPU-0"]),
        ("gpus", {"GPU-0": "all"}),
    ],
)
def test_a_broken_row_does_not_count_and_the_others_do(tmp_path: Path, key: str, value: object) -> None:
    write_leases(tmp_path, "n1", [LEASE, replace(LEASE, token="secret")], now=100.0)
    path = tmp_path / "leases" / "n1.json"
    body = json.loads(path.read_text())
    body["leases"][1][key] = value
    path.write_text(json.dumps(body))
    found, (why,) = read_leases(tmp_path, now=100.0)
    assert found == [LEASE]
    assert str(path) in why
    assert "secret" not in why


def test_a_file_that_others_may_write_or_a_link_does_not_count(tmp_path: Path) -> None:
    write_leases(tmp_path, "open", [LEASE], now=100.0)
    (tmp_path / "leases" / "open.json").chmod(0o622)
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps({"v": 1, "written": 100.0, "leases": []}))
    (tmp_path / "leases" / "link.json").symlink_to(elsewhere)
    found, wrong = read_leases(tmp_path, now=100.0)
    assert found == []
    assert len(wrong) == 2


def test_where_no_agent_ever_ran_there_are_no_leases(tmp_path: Path) -> None:
    assert read_leases(tmp_path / "none", now=100.0) == ([], [])
