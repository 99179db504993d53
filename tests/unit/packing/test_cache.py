"""A second submit reads nothing, and a changed tree is never taken for an unchanged one."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labq.packing.pack import Context, open_context


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "in"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM scratch\n")
    (directory / "a").write_text("one")
    return directory


def later(root: Path) -> float:
    """A time at which everything in a directory is old."""
    return max(path.lstat().st_ctime for path in root.rglob("*")) + 10


def unread(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "stream", lambda *_: pytest.fail("the contents were read"))


def test_an_unchanged_tree_is_not_read_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "new" / "cache"
    digest = open_context(root).digest_cached(cache, now=later(root))
    again = open_context(root)
    unread(again, monkeypatch)
    assert again.digest_cached(cache, now=later(root)) == digest
    assert again.digest() == digest
    assert cache.stat().st_mode & 0o777 == 0o700


def test_what_is_excluded_does_not_count(root: Path, tmp_path: Path) -> None:
    (root / ".dockerignore").write_text("log")
    first = open_context(root).digest_cached(tmp_path / "cache", now=later(root))
    before = (tmp_path / "cache").stat().st_mtime_ns
    (root / "log").write_text("x")
    assert open_context(root).digest_cached(tmp_path / "cache", now=later(root)) == first
    assert (tmp_path / "cache").stat().st_mtime_ns == before


def test_young_files_are_not_trusted(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    now = (root / "a").stat().st_ctime
    for age in (-60, 0, 1.9):
        open_context(root).digest_cached(cache, now=now + age)
        assert not cache.exists()
    open_context(root).digest_cached(cache, now=now + 2.1)
    assert len(list(cache.iterdir())) == 1


def test_every_change_is_seen(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    old = (root / "a").stat()

    def same_size_and_time() -> None:
        (root / "a").write_text("two")
        os.utime(root / "a", ns=(old.st_atime_ns, old.st_mtime_ns))

    def relink() -> None:
        (root / "link").unlink()
        (root / "link").symlink_to("c")

    changes: list[Callable[[], object]] = [
        same_size_and_time,
        lambda: (root / "a").chmod(0o755),
        lambda: (root / "a").rename(root / "b"),
        lambda: (root / "link").symlink_to("b"),
        relink,
        lambda: (root / "empty").mkdir(),
        lambda: (root / ".dockerignore").write_text("b"),
    ]
    seen = {open_context(root).digest_cached(cache, now=later(root))}
    for change in changes:
        time.sleep(0.02)  # a tick of the kernel's clock
        change()
        context = open_context(root)
        digest = context.digest_cached(cache, now=later(root))
        assert digest == open_context(root).digest()
        assert digest not in seen
        seen.add(digest)
    assert len(list(cache.iterdir())) == 1  # it does not grow


@pytest.mark.parametrize("text", ["", "rubbish", "é", "{key} short", "{key} " + "Z" * 64])
def test_a_damaged_cache_is_no_cache(root: Path, tmp_path: Path, text: str) -> None:
    cache = tmp_path / "cache"
    digest = open_context(root).digest_cached(cache, now=later(root))
    (file,) = cache.iterdir()
    key = file.read_text().split()[0]
    file.write_text(text.format(key=key), encoding="utf-8")
    assert open_context(root).digest_cached(cache, now=later(root)) == digest
    assert file.read_text() == f"{key} {digest}\n"


def test_a_cache_that_cannot_be_written(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    context = open_context(root)
    assert context.digest_cached(tmp_path / "file" / "cache", now=later(root)) == context.digest()
