"""Whatever a directory holds: packed, found good, unpacked, it is the same again."""

import io
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from labq.packing.check import check_context
from labq.packing.pack import open_context

NAMES = st.one_of(
    st.sampled_from([b"a", b"BZh", b"!a", b"b", b"a.b", b"-", b" ", b"\\", b"*", b"\xff", b"x" * 255]),
    st.binary(min_size=1, max_size=120).map(lambda name: name.replace(b"/", b"_")),
).map(lambda name: name.replace(b"\0", b"0"))
LEAVES = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=1500), st.sampled_from([0o644, 0o755, 0o4711])),
    st.tuples(st.just("link"), NAMES, st.just(0)),
)
TREES: Any = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=4),
    lambda below: st.dictionaries(NAMES, st.one_of(LEAVES, below), max_size=4),
    max_leaves=12,
)


def write(directory: bytes, tree: dict[bytes, Any]) -> None:
    for name, node in tree.items():
        path = directory + b"/" + name
        if name in (b".", b"..", b"Dockerfile", b".dockerignore", b"Dockerfile.dockerignore"):
            continue
        if isinstance(node, dict):
            os.mkdir(path)
            write(path, node)
        elif node[0] == "link":
            os.symlink(node[1], path)
        else:
            with open(path, "wb") as file:
                file.write(node[1])
            os.chmod(path, node[2])


def read(directory: bytes, prefix: bytes = b"") -> dict[bytes, object]:
    found: dict[bytes, object] = {}
    for entry in os.scandir(directory):
        name, status = prefix + entry.name, entry.stat(follow_symlinks=False)
        if entry.is_symlink():
            found[name] = os.readlink(entry.path)
        elif entry.is_dir():
            found[name] = status.st_mode
            found |= read(entry.path, name + b"/")
        else:
            found[name] = (Path(os.fsdecode(entry.path)).read_bytes(), status.st_mode)
    return found


@settings(max_examples=60, deadline=None)
@given(tree=TREES, offset=st.integers(0, 5000))
def test_round_trip(tree: dict[bytes, Any], offset: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        root, out = os.path.join(place, "in"), os.path.join(place, "out")
        os.mkdir(root)
        write(os.fsencode(root), tree)
        Path(root, "Dockerfile").write_text("FROM scratch\n")
        context = open_context(root)
        data = b"".join(context.stream())
        assert len(data) == context.total_bytes
        offset = min(offset, len(data))
        assert b"".join(context.stream(offset)) == data[offset:]
        summary = check_context(io.BytesIO(data))
        counted = summary.files + summary.directories + summary.symlinks
        assert (counted, summary.tar_bytes) == (context.entries, len(data))
        with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as tar:
            tar.extractall(out, filter="fully_trusted")  # noqa: S202 - our own tar
        assert read(os.fsencode(out)) == read(os.fsencode(root))
        assert open_context(out).digest() == context.digest()
