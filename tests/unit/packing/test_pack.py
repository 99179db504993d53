"""The tar: the same wherever it is made, readable by all, and sent from any byte on."""

import hashlib
import io
import os
import random
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import pytest
from unit.packing.trees import make

from labq.packing import content, tarformat
from labq.packing.errors import PackingError
from labq.packing.pack import Context, open_context
from labq.packing.walk import Entry


def whole(context: Context, offset: int = 0) -> bytes:
    return b"".join(context.stream(offset))


def test_the_same_tree_gives_the_same_digest(tmp_path: Path) -> None:
    here, there = make(tmp_path / "here"), make(tmp_path / "deep" / "there")
    for path in there.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    first, second = open_context(here), open_context(there)
    digest = first.digest()
    assert digest == second.digest() == hashlib.sha256(whole(first)).hexdigest()
    (there / "a-b").chmod(0o755)
    assert open_context(there).digest() != digest
    (there / "a-b").chmod((here / "a-b").stat().st_mode)
    assert open_context(there).digest() == digest
    (there / "a-b").write_text("2")
    assert open_context(there).digest() != digest


def test_pythons_and_gnus_tar_read_it(tmp_path: Path) -> None:
    root = make(tmp_path / "in")
    context = open_context(root)
    data = whole(context)
    assert len(data) == context.total_bytes
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as tar:
        members = tar.getmembers()
    assert [m.name + "/" * m.isdir() for m in members] == list(context.paths())
    assert context.entries == len(members) == 16
    assert {(m.uid, m.gid, m.mtime, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(["tar", "-xpf", "-", "-C", out], input=data, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    subprocess.run(["diff", "-r", "--no-dereference", root, out], check=True)
    assert (out / "run").stat().st_mode & 0o7777 == 0o4755
    assert open_context(out).digest() == context.digest()


def test_names_are_ordered_by_their_bytes(tmp_path: Path) -> None:
    paths = list(open_context(make(tmp_path / "in")).paths())
    top = [path for path in paths if "/" not in path.rstrip("/")]
    assert top == sorted(top, key=lambda path: os.fsencode(path.rstrip("/")))
    assert paths.index("a/") + 1 == paths.index("a/日本 ☺")


def entry(path: bytes, kind: bytes, size: int = 0, target: bytes = b"", mode: int = 0o644) -> Entry:
    status = os.stat_result((mode, 1, 1, 1, 0, 0, size, 0, 0, 0))
    return Entry(path, kind, status, target)


@pytest.mark.parametrize("length", [1, 99, 100, 101, 511, 512, 513, 3000])
@pytest.mark.parametrize("kind", [b"0", b"2", b"5"])
def test_headers_are_those_of_pythons_tarfile(length: int, kind: bytes) -> None:
    found = entry(b"n" * length, kind, 9 * 1024**3, b"t" * length if kind == b"2" else b"")
    info = tarfile.TarInfo("n" * length)
    info.type, info.mode, info.size = kind, found.mode, found.size
    info.linkname = found.target.decode()
    built = tarformat.header(found)
    assert built == info.tobuf(tarfile.GNU_FORMAT)
    assert len(built) == tarformat.header_size(found)


def test_resuming_gives_the_rest(tmp_path: Path) -> None:
    root = make(tmp_path / "in")
    (root / "big").write_bytes(random.Random(1).randbytes(3 * content.CHUNK + 17))
    context = open_context(root)
    data = whole(context)
    offsets = set(random.Random(2).sample(range(len(data)), 150))
    for start in context._starts:
        offsets |= {start + d for d in (-513, -1, 0, 1, 511, 512, 513, 1024, 1030)}
    for offset in [*offsets, 0, len(data), len(data) - 1]:
        if 0 <= offset <= len(data):
            assert whole(context, offset) == data[offset:], offset
    for offset in (-1, len(data) + 1):
        with pytest.raises(PackingError, match=f"no byte {offset}"):
            whole(context, offset)


def test_resuming_does_not_open_what_was_sent(tmp_path: Path) -> None:
    root = make(tmp_path / "in")
    context = open_context(root)
    data = whole(context)
    index = [path for path, _ in zip(context.paths(), range(99), strict=False)].index("block")
    (root / "a-b").unlink()
    (root / "block").unlink()
    after_content = context._starts[index] + 512 + 512
    assert whole(context, after_content) == data[after_content:]
    with pytest.raises(PackingError, match='block" vanished'):
        whole(context, after_content - 1)


def test_chunks_are_large(tmp_path: Path) -> None:
    root = make(tmp_path / "in")
    for number in range(300):
        (root / f"{number}").write_bytes(b"x" * 9000)
    sizes = [len(chunk) for chunk in open_context(root).stream()]
    assert all(256 * 1024 <= size <= 1024 * 1024 for size in sizes[:-1])


def test_progress_reaches_the_total(tmp_path: Path) -> None:
    context = open_context(make(tmp_path / "in"))
    calls: list[tuple[int, int]] = []
    context.digest(lambda done, total: calls.append((done, total)))
    assert calls[-1] == (context.total_bytes, context.total_bytes)


def test_a_large_context_takes_little_memory(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with open(tmp_path / "data", "wb") as file:
        file.truncate(500_000_000)
    program = """
        import resource, sys
        from labq.packing.pack import open_context
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before, sent = peak(), 0
        context = open_context(sys.argv[1])
        for chunk in context.stream():
            sent += len(chunk)
        assert sent == context.total_bytes > 500_000_000
        print((peak() - before) // 1024)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert int(done.stdout) < 60  # MiB
