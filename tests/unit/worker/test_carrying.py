"""An attempt's outputs begin as an earlier attempt left its own, whole or not at all."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.worker.jobs import job

from labq.earlier_outputs import earlier_outputs
from labq.ending import EndReason
from labq.job import Attempt, Job
from labq_worker.carrying import Carrier, CarryError, UnwantedError
from labq_worker.paths import Paths


def run(number: int, *, code: int | None = 143, node: str = "n1", started: float | None = 1.0) -> Attempt:
    reason = EndReason.NODE_LOST if code is None else EndReason.PREEMPTED
    return Attempt(number, node, (), "lease", started, 2.0, code, reason, "Over.")


def third(*runs: Attempt) -> Job:
    return job(attempt=3, attempts=runs, uid=os.geteuid(), gid=os.getegid())


def nothing() -> None:
    """The job is still to start."""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path)


def outputs(paths: Paths, number: int) -> Path:
    made = paths.outputs("1042", number)
    made.mkdir(parents=True)
    return made


def carrier(paths: Paths) -> Carrier:
    return Carrier(paths, "n1", None)


def test_it_begins_as_the_attempt_before_left_it(paths: Paths, tmp_path: Path) -> None:
    left = outputs(paths, 2)
    (left / "deep" / "er").mkdir(parents=True)
    (left / "deep" / "er" / "実験.pt").write_bytes(os.urandom(3_000_000))
    (left / "run.sh").write_text("#!/bin/sh\n")
    (left / "run.sh").chmod(0o755)
    (left / os.fsdecode(b"bytes\xff")).write_text("x")
    (left / "empty").mkdir()
    (left / "latest").symlink_to("/outputs/deep/er/実験.pt")
    os.utime(left / "run.sh", (1e9, 1e9))
    carrier(paths).fill(third(run(1), run(2)), nothing)
    found = paths.outputs("1042", 3)
    assert (found / "deep" / "er" / "実験.pt").read_bytes() == (left / "deep" / "er" / "実験.pt").read_bytes()
    assert (found / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (found / "run.sh").stat().st_mtime == 1e9
    assert os.readlink(found / "latest") == "/outputs/deep/er/実験.pt"
    assert sorted(os.listdir(found)) == sorted(os.listdir(left))
    (found / "run.sh").write_text("changed")
    assert (left / "run.sh").read_text() == "#!/bin/sh\n", "the earlier attempt keeps its own"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_all_of_it_belongs_to_the_person_and_nothing_is_setuid(paths: Paths) -> None:
    left = outputs(paths, 2)
    (left / "sub").mkdir()
    (left / "sub" / "f").write_text("x")
    (left / "sub" / "f").chmod(0o4755)
    (left / "sub" / "l").symlink_to("f")
    carrier(paths).fill(job(attempt=3, attempts=(run(2),), uid=1234, gid=1235), nothing)
    for path in ("sub", "sub/f", "sub/l"):
        found = (paths.outputs("1042", 3) / path).lstat()
        assert (found.st_uid, found.st_gid) == (1234, 1235), path
    assert (paths.outputs("1042", 3) / "sub" / "f").stat().st_mode & 0o7777 == 0o755


def test_what_a_remote_attempt_sent_is_unpacked(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("sent")
    paths.outputs("1042", 2).parent.mkdir(parents=True)
    with tarfile.open(paths.outputs("1042", 2).with_name("2.tar"), "w") as tar:
        tar.add(tmp_path / "f", "f")
    carrier(paths).fill(third(run(2, node="n2")), nothing)
    assert (paths.outputs("1042", 3) / "f").read_text() == "sent"


def test_a_job_that_is_cancelled_meanwhile_leaves_nothing_half_done(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outputs(paths, 2) / "f").write_bytes(bytes(5_000_000))
    monkeypatch.setattr("labq_worker.carrying._LOOK", -1.0)
    looks = iter([nothing] * 5)

    def check() -> None:
        if next(looks, None) is None:
            raise UnwantedError

    with pytest.raises(UnwantedError):
        carrier(paths).fill(third(run(2)), check)
    assert sorted(os.listdir(paths.outputs("1042", 2).parent)) == ["2"]


def test_what_an_agent_that_died_had_begun_is_begun_anew(paths: Paths) -> None:
    (outputs(paths, 2) / "f").write_text("whole")
    torn = paths.outputs("1042", 3).with_name("3.filling")
    torn.mkdir()
    (torn / "f").write_text("wh")
    (torn / "stray").touch()
    carrier(paths).fill(third(run(2)), nothing)
    assert os.listdir(paths.outputs("1042", 3)) == ["f"]
    assert (paths.outputs("1042", 3) / "f").read_text() == "whole"
    assert not torn.exists()


def test_what_is_in_place_is_not_filled_again(paths: Paths) -> None:
    (outputs(paths, 2) / "f").write_text("earlier")
    (outputs(paths, 3) / "f").write_text("mine")
    carrier(paths).fill(third(run(2)), nothing)
    assert (paths.outputs("1042", 3) / "f").read_text() == "mine"


def test_leftovers_of_jobs_that_nobody_works_on_are_removed(paths: Paths) -> None:
    for job_id in ("7", "8"):
        (paths.root / "outputs" / job_id / "2.filling").mkdir(parents=True)
        (paths.root / "outputs" / job_id / "1").mkdir()
    carrier(paths).remove_leftovers(lambda: {"8"})
    found = sorted(str(path.relative_to(paths.root / "outputs")) for path in paths.root.glob("outputs/*/*"))
    assert found == ["7/1", "8/1", "8/2.filling"]


def test_a_disk_that_fills_up_is_told_and_cleared(paths: Paths) -> None:
    (outputs(paths, 2) / "f").write_bytes(bytes(3_000_000))
    with pytest.raises(CarryError, match="no room"):
        _with_file_limit(1_000_000, lambda: carrier(paths).fill(third(run(2)), nothing))
    assert sorted(os.listdir(paths.outputs("1042", 2).parent)) == ["2"]


def _with_file_limit(size: int, call: Callable[[], None]) -> None:
    """Let no file grow over a size, as a quota does (the system then says EFBIG)."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        call()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize(
    ("runs", "directories", "tars", "node", "found"),
    [
        ((run(1), run(2)), (1, 2), (), "", "2"),
        ((run(1), run(2, started=None)), (1, 2), (), "", "1"),  # it never ran
        ((run(1), run(2, code=None)), (1, 2), (), "", "1"),  # its container may still write there
        ((run(1), run(2, code=None)), (1, 2), (), "n1", "2"),  # not on the node that asks
        ((run(1), run(2, code=None, node="n2")), (1,), (2,), "", "2.tar"),  # the node came back and sent it
        ((run(1, node="n2"), run(2, code=None, node="n2")), (), (1,), "", "1.tar"),
        ((run(1), run(2), run(3)), (1, 3), (), "", "1"),  # what is not earlier does not count
        ((run(1, code=None, node="n2"),), (), (), "", None),
        ((), (1,), (), "", None),
    ],
)
def test_the_last_attempt_whose_outputs_are_whole_counts(
    tmp_path: Path, runs: tuple[Attempt, ...], directories: tuple[int, ...], tars: tuple[int, ...],
    node: str, found: str | None,
) -> None:  # fmt: skip
    for number in directories:
        (tmp_path / str(number)).mkdir()
    for number in tars:
        (tmp_path / f"{number}.tar").touch()
    said = earlier_outputs(third(*runs), 3, tmp_path, node)
    assert (said and said[1].name) == found
