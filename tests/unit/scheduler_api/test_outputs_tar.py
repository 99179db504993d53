"""The tar of an outputs directory, read back by tarfile."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labq_scheduler.files.outputs import tar_of_directory


def unpack(pieces: Iterator[bytes], to: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        tar.extractall(to, filter="tar")


def test_what_is_packed_unpacks_to_the_same(tmp_path: Path) -> None:
    root = tmp_path / "1"
    deep = root / ("d" * 200) / ("e" * 200)
    deep.mkdir(parents=True)
    (deep / "日本語 の file").write_bytes(os.urandom(513))
    (root / "exact").write_bytes(bytes(1024))
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("run.sh")
    (root / "none").mkdir()
    unpack(tar_of_directory(root), tmp_path / "to")
    there = {path.relative_to(root): path for path in root.rglob("*")}
    back = {path.relative_to(tmp_path / "to"): path for path in (tmp_path / "to").rglob("*")}
    assert set(there) == set(back)
    for name, path in there.items():
        if path.is_file():
            assert path.read_bytes() == back[name].read_bytes()
    assert os.access(back[Path("run.sh")], os.X_OK)
    assert os.readlink(back[Path("link")]) == "run.sh"


def test_a_file_that_changes_its_size_meanwhile_keeps_the_tar_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3000)
    (tmp_path / "b").write_bytes(b"after")
    real = os.read

    def shrinks(descriptor: int, count: int) -> bytes:
        os.truncate(tmp_path / "a", 1000)
        return real(descriptor, min(count, 500))

    monkeypatch.setattr(os, "read", shrinks)
    data = b"".join(tar_of_directory(tmp_path))
    monkeypatch.undo()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        first, second = tar.extractfile("a"), tar.extractfile("b")
        assert first is not None
        assert second is not None
        assert first.read() == b"x" * 1000 + bytes(2000)
        assert second.read() == b"after"


def test_a_file_that_becomes_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("mine")
    secret = tmp_path.parent / "secret"
    secret.write_text("secret")
    real = os.open

    def swapped(name: str, flags: int, **more: int) -> int:
        if name == "a":
            (tmp_path / "a").unlink(missing_ok=True)
            (tmp_path / "a").symlink_to(secret)
        return real(name, flags, **more)

    monkeypatch.setattr(os, "open", swapped)
    data = b"".join(tar_of_directory(tmp_path))
    monkeypatch.undo()
    assert b"secret\0" not in data
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["LABQ-LEFT-OUT.txt"]
