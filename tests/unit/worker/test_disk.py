"""What of a disk can be promised, and what lies below a directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labq_worker.disk import promisable, reserve, used_below

GB = 2**30


def test_what_jobs_have_written_of_their_promises_is_no_less_to_promise() -> None:
    before = promisable(1000 * GB, 600 * GB, [0, 0])
    after = promisable(1000 * GB, 560 * GB, [30 * GB, 10 * GB])
    assert before == after == 550 * GB


def test_what_others_write_can_be_promised_to_nobody() -> None:
    assert promisable(1000 * GB, 300 * GB, []) == 250 * GB
    assert promisable(1000 * GB, 20 * GB, []) == 0


@pytest.mark.parametrize(("size", "kept"), [(100 * GB, 10 * GB), (4000 * GB, 50 * GB), (0, 0)])
def test_a_tenth_is_kept_and_at_most_50_gb(size: int, kept: int) -> None:
    assert reserve(size) == kept


def test_only_what_takes_room_is_counted_and_only_once(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"x" * 4_000_000)
    root = tmp_path / "root"
    (root / "below").mkdir(parents=True)
    empty = used_below(root)
    (root / "below" / "file").write_bytes(b"x" * 1_000_000)
    os.link(root / "below" / "file", root / "again")
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "folder").symlink_to(tmp_path)
    with (root / "sparse").open("wb") as hole:
        hole.truncate(GB)
    assert 1_000_000 <= used_below(root) - empty < 1_100_000


def test_what_is_not_there_takes_nothing(tmp_path: Path) -> None:
    assert used_below(tmp_path / "nowhere") == 0
