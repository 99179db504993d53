"""Which of two versions is older, and who is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import make_node

from labq import __version__
from labq.cli.render.nodes import nodes_text
from labq.node import is_older
from labq.wire import node_view

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("0.1.0", "0.2.0", True),
        ("0.9", "0.10", True),
        ("0.2.0", "0.1.0", False),
        ("1.0", "1.0.0", False),
        ("0", "0.0.1", True),
        ("1.0.dev3", "1.0", False),
        ("", "1.0", False),
        ("?", "1.0", False),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, than: str, older: bool) -> None:
    assert is_older(version, than) is older


@pytest.mark.parametrize(
    ("version", "told"), [("0.0.1", True), (__version__, False), ("999.0", False), ("", False)]
)
def test_a_node_whose_agent_is_older_than_the_server_is_told_of(version: str, told: bool) -> None:
    view = node_view(replace(make_node("n1"), version=version, heartbeat=NOW), {}, {}, NOW, __version__)
    assert view["behind"] is told
    assert ("older than the server: labq provision --limit n1" in nodes_text([view], NOW, 100)) is told
