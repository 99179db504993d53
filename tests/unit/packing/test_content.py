"""Files that change under the packer are errors, and errors are fit for a terminal."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.packing.trees import make

from labq.packing import content
from labq.packing.errors import PackingError, shown
from labq.packing.pack import open_context


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("a")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_text("longer than it was"), "changed while"),
        (lambda path: path.write_text(""), "changed while"),
        (lambda path: os.utime(path, (5, 5)), "changed while"),
        (Path.unlink, "vanished while"),
        (replace_by_fifo, "changed while"),
        (replace_by_link, "cannot be read"),
    ],
)
def test_a_changing_file_is_an_error(tmp_path: Path, change: Callable[[Path], object], said: str) -> None:
    root = make(tmp_path / "in")
    context = open_context(root)
    change(root / "a.b")
    with pytest.raises(PackingError, match=rf'a\.b" {said}') as caught:
        context.digest()
    assert ".dockerignore" in caught.value.next


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    root = make(tmp_path / "in")
    (root / "a.b").write_bytes(bytes(3 * content.CHUNK))
    stream = open_context(root).stream()
    next(stream)
    os.truncate(root / "a.b", content.CHUNK)
    with pytest.raises(PackingError, match="changed while"):
        b"".join(stream)


def test_names_are_quoted_for_a_terminal() -> None:
    assert shown(b"a\x1b[31m\n\xff") == '"a\\x1b[31m\\n\\xff"'
    assert shown("é ☺") == '"é ☺"'
    assert len(shown(b"x" * 10**6)) < 250
