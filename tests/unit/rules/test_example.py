"""The example of a rules' file, and what the pages show of one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labq.cli.render.rules import default_file, diff_text, rules_text
from labq.rules.keys import KEYS
from labq.rules.read import read
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.rules_of import default_texts, rules_of

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples/rules.toml"
BLOCKS = [
    (page.name, block)
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for block in re.findall(r"```toml\n(\[.*?)```", page.read_text(), re.DOTALL)
]


def test_the_example_is_legal_and_says_the_defaults_where_it_says_nothing_else() -> None:
    found = rules_of(read(EXAMPLE.read_text()))
    assert found.weights == Rules().weights
    assert found.half_life == Rules().half_life
    assert found.cap_of("hiro").gpus == 2
    assert found.may_use("hana", "urgent")
    assert not found.may_use("hiro", "urgent")
    (window,) = found.windows
    assert found.has("yuki", window.people)


def test_the_example_has_nearly_every_section() -> None:
    said = {entry.key.section for entry in read(EXAMPLE.read_text()).entries.values()}
    assert {key.section for key in KEYS} - said <= {"[passing]", "[images]"}


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_what_the_pages_show_of_rules_is_legal(page: str, block: str) -> None:
    assert read(block, page).entries


def test_the_pages_show_rules_at_all() -> None:
    assert {page for page, _ in BLOCKS} >= {"rules.md"}


def answer(said: str) -> dict[str, object]:
    texts, lines, defaults = read(said).texts(), read(said).lines(), default_texts()
    rows = [
        {
            "key": key,
            "value": texts.get(key, defaults.get(key)),
            "default": defaults.get(key),
            "line": lines.get(key),
        }
        for key in [*defaults, *(key for key in texts if key not in defaults)]
    ]
    return {
        "file": "/r.toml",
        "from": "file",
        "since": "2026-11-21T05:00:00.000Z",
        "problem": None,
        "rows": rows,
    }


def test_the_defaults_as_a_file_are_the_defaults() -> None:
    text = default_file(answer(""))
    assert read(text).entries == {}
    assert rules_of(read(re.sub(r"^# (\S+ = )", r"\1", text, flags=re.MULTILINE))) == Rules()


def test_rules_are_shown_with_the_line_that_says_each() -> None:
    lines = rules_text(answer("[weights]\nshare = 5\n[shares]\nanna = 2\n"), 100).splitlines()
    assert lines[0] == "/r.toml, in force since 2026-11-21T05:00:00.000Z"
    assert ["weights.share", "5", "line", "2"] in [line.split() for line in lines]
    assert ["weights.held", "2", "default"] in [line.split() for line in lines]
    assert ["shares.anna", "2", "line", "4"] in [line.split() for line in lines]


def test_a_difference_shows_what_is_said_no_more() -> None:
    changes = [
        {"key": "shares.anna", "now": "2", "then": None},
        {"key": "weights.age", "now": "0", "then": "1"},
    ]
    lines = diff_text({"changes": changes}, 100).splitlines()
    assert [line.split() for line in lines[1:]] == [["shares.anna", "2", "-"], ["weights.age", "0", "1"]]
