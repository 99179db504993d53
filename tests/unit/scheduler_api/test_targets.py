"""The list of nodes for Prometheus: who is on it, and how it is written."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag

import pytest
from builders import make_node
from support.waiting import wait_for

from labq.errors import UnavailableError
from labq.node import Node
from labq.store import Event
from labq_scheduler.targets import Targets, address_of, target_groups, write_if_changed


def node(name: str, address: str = "", *, hostname: str = "", **more: object) -> Node:
    facts = {key: value for key, value in {"address": address, "hostname": hostname}.items() if value}
    return replace(make_node(name), facts=facts, **more)  # type: ignore[arg-type]


def pairs(*nodes: Node) -> list[tuple[str, str]]:
    return [(group["labels"]["node"], group["targets"][0]) for group in target_groups(nodes)]


def test_each_node_is_one_group_with_its_name_and_no_port() -> None:
    assert target_groups([node("b", "10.0.0.2"), node("a", "10.0.0.1")]) == [
        {"targets": ["10.0.0.1"], "labels": {"node": "a"}},
        {"targets": ["10.0.0.2"], "labels": {"node": "b"}},
    ]


def test_lost_and_drained_nodes_stay_or_nobody_would_miss_them() -> None:
    assert pairs(node("a", "10.0.0.1", alive=False), node("b", "10.0.0.2", drained="fan")) == [
        ("a", "10.0.0.1"),
        ("b", "10.0.0.2"),
    ]


def test_an_exporter_port_of_the_labs_own_is_said_to_prometheus() -> None:
    assert target_groups([node("a", "h")], 9999)[0]["labels"] == {"node": "a", "__exporter_port": "9999"}


def test_two_agents_on_one_machine_are_one_target() -> None:
    assert pairs(node("b", "10.0.0.1"), node("a", "10.0.0.1")) == [("a", "10.0.0.1")]


def test_a_renamed_machine_goes_by_the_name_that_lives() -> None:
    assert pairs(node("a", "10.0.0.1", alive=False), node("z", "10.0.0.1")) == [("z", "10.0.0.1")]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("10.0.0.5", "10.0.0.5"),
        ("gpu01.lab.example", "gpu01.lab.example"),
        ("my_host", "my_host"),
        ("fd00::5", "[fd00::5]"),
        ("[fd00::5]", "[fd00::5]"),
        ("gpu01/metrics", ""),
        ("user@gpu01", ""),
        ("gpu 01", ""),
        ("gpu01:9746", ""),
        ("a..b", ""),
        ("試", ""),
        ("x" * 254, ""),
        ("a" * 60 + "-" * 4000, ""),
    ],
)
def test_what_is_no_address_never_reaches_prometheus_which_would_refuse_the_whole_file(
    said: str, wanted: str
) -> None:
    assert address_of(node("a", said)) == wanted
    assert len(target_groups([node("a", said), node("b", "10.0.0.9")])) == (2 if wanted else 1)


def test_an_agent_that_knows_no_address_is_found_by_its_host_name_and_else_by_its_name() -> None:
    assert pairs(node("a", hostname="h1"), node("b")) == [("a", "h1"), ("b", "b")]


def test_the_file_is_written_only_when_it_changed_and_all_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    assert write_if_changed(path, target_groups([node("a", "h")]))
    before = path.stat()
    assert stat.S_IMODE(before.st_mode) == 0o644
    assert not write_if_changed(path, target_groups([node("a", "h")]))
    assert path.stat().st_ino == before.st_ino
    assert write_if_changed(path, [])
    assert json.loads(path.read_text()) == []
    assert [each.name for each in tmp_path.iterdir()] == ["nodes.json"]


def test_a_file_that_somebody_broke_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_bytes(b"\xff\xfe")
    assert write_if_changed(path, [])
    assert json.loads(path.read_text()) == []


def test_an_event_of_a_node_rewrites_the_file_at_once_and_a_failure_leaves_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nodes, asked, fails = [node("a", "10.0.0.1")], Flag(), Flag()

    def read() -> list[Node]:
        asked.set()
        if fails.is_set():
            raise UnavailableError("Redis does not answer", "wait")
        return list(nodes)

    folder = tmp_path / "made" / "here"
    targets = Targets(folder, 9746, read)
    targets.start()
    path = folder / "nodes.json"
    try:
        wait_for(lambda: "10.0.0.1" in path.read_text(), 5, "the first file")
        nodes.append(node("b", "10.0.0.2"))
        targets.notice(Event("1-1", {"type": "node"}))
        wait_for(lambda: "10.0.0.2" in path.read_text(), 5, "the second node")
        fails.set()
        nodes.clear()
        asked.clear()
        targets.notice(Event("1-2", {"type": "node"}))
        assert asked.wait(5)
        wait_for(lambda: "stays as it is: Redis does not answer" in caplog.text, 5, "the complaint")
        assert "10.0.0.2" in path.read_text()
        fails.clear()
        targets.notice(Event("1-3", {"type": "node"}))
        wait_for(lambda: json.loads(path.read_text()) == [], 5, "the removed nodes to go")
    finally:
        targets.stop()
