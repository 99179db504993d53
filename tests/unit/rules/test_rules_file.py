"""The rules in force while their file changes under the server."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from support.waiting import wait_for

from labq.errors import BadInputError
from labq.settings import Settings
from labq_scheduler import rules_file
from labq_scheduler.policy.rules import Rules, Weights
from labq_scheduler.rules_file import RulesFile, read_rules

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_file, "LOOK", 0.02)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rules.toml"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept.toml"


def share(value: float) -> str:
    return f"[weights]\nshare = {value}\n"


def test_without_a_file_the_defaults_are_in_force_and_nothing_is_wrong(path: Path, kept: Path) -> None:
    state = RulesFile(path, kept).state()
    assert (state.rules, state.source, state.problem) == (Rules(), "defaults", None)


def test_a_file_that_was_named_is_missed(path: Path, kept: Path) -> None:
    state = RulesFile(path, kept, needed=True).state()
    assert state.rules == Rules()
    assert state.problem is not None
    assert str(path) in state.problem.what


def test_a_changed_file_is_in_force_soon(path: Path, kept: Path) -> None:
    path.write_text(share(5))
    rules = RulesFile(path, kept)
    before = rules()
    assert before.weights.share == 5
    path.write_text(share(6))
    wait_for(lambda: rules().weights.share == 6, 5, "the new rules")
    assert before.weights.share == 5  # a pass that has begun goes on with what it has


def test_a_bad_file_changes_nothing_and_is_told_once(
    path: Path, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(share(5))
    rules = RulesFile(path, kept)
    since = rules.state().since
    path.write_text(share(6) + "shre = 3\n")
    wait_for(lambda: rules.state().problem is not None, 5, "the refusal")
    for _ in range(5):
        assert rules() == Rules(weights=Weights(share=5.0))
    state = rules.state()
    assert state.problem is not None
    assert f"{path}:3" in state.problem.what
    assert (state.source, state.since) == ("file", since)
    assert [row.levelno for row in caplog.records] == [logging.ERROR]
    assert kept.read_text() == share(5)
    path.write_text(share(6))
    wait_for(lambda: rules().weights.share == 6, 5, "the mended rules")
    assert rules.state().problem is None


def test_after_a_restart_with_a_bad_file_the_last_good_rules_are_in_force(path: Path, kept: Path) -> None:
    path.write_text(share(5))
    RulesFile(path, kept)
    path.write_text("[weights]\nshare =")
    state = RulesFile(path, kept).state()
    assert (state.rules.weights.share, state.source) == (5, "copy")
    assert state.problem is not None


def test_without_a_good_copy_a_bad_file_leaves_the_defaults(path: Path, kept: Path) -> None:
    path.write_text("[weights")
    kept.write_text("[also bad")
    state = RulesFile(path, kept).state()
    assert (state.rules, state.source) == (Rules(), "defaults")
    assert state.problem is not None


def test_a_file_that_is_taken_away_leaves_the_defaults_or_is_missed(path: Path, kept: Path) -> None:
    path.write_text(share(5))
    free, needed = RulesFile(path, kept), RulesFile(path, kept, needed=True)
    path.unlink()
    wait_for(lambda: free() == Rules(), 5, "the defaults")
    wait_for(lambda: needed.state().problem is not None, 5, "the problem")
    assert needed().weights.share == 5


def test_a_file_that_is_being_written_is_not_read_before_it_rests(
    path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(share(5))
    rules = RulesFile(path, kept)
    monkeypatch.setattr(rules_file, "LOOK", 0.0)
    text = "[weights]\n"
    for number in range(20):  # each look sees another file; each of them would be legal
        text += f"# {number}\n"
        path.write_text(text)
        assert rules().weights.share == 5
    assert rules() == Rules()


def test_a_directory_or_a_file_of_another_person_is_a_problem_not_an_end(tmp_path: Path) -> None:
    state = RulesFile(tmp_path, None).state()
    assert state.problem is not None
    assert state.rules == Rules()


def test_the_file_stands_in_the_data_directory_unless_it_is_named(tmp_path: Path) -> None:
    settings = {"data_dir": str(tmp_path)}
    assert RulesFile.from_settings(Settings(settings, {})).path == tmp_path / "rules.toml"
    named = RulesFile.from_settings(Settings(settings, {"LABQ_RULES_FILE": str(tmp_path / "ours.toml")}))
    assert named.path == tmp_path / "ours.toml"
    assert named.state().problem is not None


def test_a_file_can_be_read_once(path: Path) -> None:
    path.write_text(share(5))
    assert read_rules(path).weights.share == 5
    path.write_text("x = 1")
    with pytest.raises(BadInputError, match="no section"):
        read_rules(path)
