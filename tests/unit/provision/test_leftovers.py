"""What a run leaves is removed; nothing else ever is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labq_scheduler.provision.leftovers import KEEP_RUNS, forget_old_runs, make_scratch, tidy_up
from labq_scheduler.provision.locks import Alive
from labq_scheduler.provision.places import LabDir


@pytest.fixture
def precious(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the working directory, which for the service is /."""
    found = tmp_path / "cwd" / "labq-run-mine" / "precious"
    found.parent.mkdir(parents=True)
    found.touch()
    monkeypatch.chdir(tmp_path / "cwd")
    return found


def test_the_scratch_directory_of_a_run_is_removed_with_its_name(tmp_path: Path, precious: Path) -> None:
    scratch = make_scratch(tmp_path)
    assert (scratch / "cp").is_dir()
    tidy_up(tmp_path)
    assert not scratch.exists()
    assert not (tmp_path / "scratch").exists()
    assert precious.exists()


def test_a_driver_that_begins_after_one_that_was_killed_removes_what_that_one_left(tmp_path: Path) -> None:
    first = make_scratch(tmp_path)
    second = make_scratch(tmp_path)
    assert (first.exists(), second.exists()) == (False, True)
    tidy_up(tmp_path)
    assert not second.exists()


@pytest.mark.parametrize(
    "said", ["", ".", "/", "cwd", "labq-run-mine", "{cwd}", "{cwd}/labq-run-x/..", "labq-run-\0", "\udcff"]
)
def test_a_name_that_was_written_by_half_removes_nothing(tmp_path: Path, precious: Path, said: str) -> None:
    named = tmp_path / "scratch"
    named.write_text(said.replace("{cwd}", os.getcwd()), errors="surrogateescape")
    tidy_up(tmp_path)
    assert precious.exists()
    assert not named.exists()


def test_nor_does_a_link_in_the_place_of_the_directory(tmp_path: Path, precious: Path) -> None:
    link = tmp_path / "labq-run-link"
    link.symlink_to(precious.parent)
    (tmp_path / "scratch").write_text(str(link))
    tidy_up(tmp_path)
    assert precious.exists()


def test_a_run_that_waits_for_long_is_not_among_the_old_ones_that_are_forgotten(tmp_path: Path) -> None:
    lab = LabDir(tmp_path)
    waits, ended = Alive(lab.run("1")), Alive(lab.run("2"))
    assert waits.take()
    assert ended.take()
    ended.release()
    for number in range(3, KEEP_RUNS + 4):
        lab.run(str(number)).mkdir()
    for number in range(1, KEEP_RUNS + 4):
        os.utime(lab.run(str(number)), (number, number))
    forget_old_runs(lab)
    waits.release()
    kept = sorted(int(path.name) for path in (tmp_path / "runs").iterdir())
    assert kept == [1, *range(4, KEEP_RUNS + 4)]
