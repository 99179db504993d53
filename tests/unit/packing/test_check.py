"""Whole contexts, limits, and how long a judgement may take."""

import io
import os
import random
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.packing.tars import DIR, DOCKERFILE, LNK, SYM, A, check, info, make

from labq.packing.check import ContextLimits, ContextSummary, check_context
from labq.packing.errors import PackingError
from labq.packing.pack import open_context


def test_every_truncation_is_seen() -> None:
    data = make(A, info("d", DIR), (info("n" * 300), b"y" * 2000))
    data = data[: len(data.rstrip(b"\0")) + -len(data.rstrip(b"\0")) % 512 + 1024]
    check(data)
    for size in [*range(1, len(data), 97), *range(512, len(data), 512)]:
        with pytest.raises(PackingError, match=r"truncated|not a tar"):
            check(data[:size])


def test_limits() -> None:
    data = make(*(info(f"{i}/x") for i in range(4)), (info("y"), b"12345"))
    assert check(data, ContextLimits(entries=10, unpacked_bytes=len(DOCKERFILE) + 5)).files == 6
    with pytest.raises(PackingError, match="more than 9 entries"):
        check(data, ContextLimits(entries=9))  # 6 files and 4 directories that they imply
    with pytest.raises(PackingError, match='more than 17 bytes: "y"'):
        check(data, ContextLimits(unpacked_bytes=17))
    with pytest.raises(PackingError, match="has 11 bytes"):
        check(make(info("a" * 11)), ContextLimits(name_bytes=10))


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_pythons_tars_are_accepted(kind: int) -> None:
    data = make(
        info("./", DIR),
        info("./d", DIR),
        (info("./d/" + "x" * 90 + "/" + "y" * 90), b"1"),
        info("s", SYM, "../../anywhere"),
        info("h", LNK, "./Dockerfile"),
        info("s2", LNK, "s"),
        (info("d/é"), b"22"),
        (info("d/é"), b"333"),
        kind=kind,
    )
    expected = ContextSummary(5, 2, 2, len(DOCKERFILE) + 6, len(data))
    assert check(data) == expected


@pytest.mark.parametrize("kind", ["gnu", "pax", "ustar", "v7", "oldgnu"])
def test_gnus_tars_are_accepted(kind: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_bytes(DOCKERFILE)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "link").symlink_to("x" * 50)
    (tmp_path / "hard").hardlink_to(tmp_path / "Dockerfile")
    command = ["tar", "-C", str(tmp_path), f"--format={kind}", "-cf", "-", "."]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    assert check(data).files == 2


def test_the_dockerfile_must_be_there() -> None:
    tar = io.BytesIO(make(info("docker/gpu"), info("link", SYM, "docker/gpu"), info("d", DIR)))
    for name in ("docker/gpu", "./docker/gpu", "link"):
        check_context(tar, dockerfile=name)
    for name in ("gpu", "d", "docker", "docker/gpu/x", "link/x"):
        with pytest.raises(PackingError, match=f'has no "{name}"'):
            check_context(tar, dockerfile=name)


def test_contents_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_bytes(DOCKERFILE)
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(20 * 1024**3)
    context = open_context(tmp_path)
    with open(tmp_path.parent / f"{tmp_path.name}.tar", "w+b") as tar:
        for piece, _ in zip(context.stream(), range(1), strict=False):
            tar.write(piece[:1536])  # the Dockerfile, and the head of the huge one
        tar.truncate(context.total_bytes)
        start = time.monotonic()
        assert check_context(tar).unpacked_bytes == 20 * 1024**3 + len(DOCKERFILE)
        assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    "entries",
    [
        lambda i: info(f"{i}"),
        lambda i: info("a/" * 256 + f"{i}"),
        lambda i: info(f"{i}/" + "b/" * 250, DIR),
    ],
)
def test_many_entries_do_not_take_long(entries: Callable[[int], tarfile.TarInfo]) -> None:
    data = make(*(entries(i) for i in range(3000)))
    start = time.process_time()
    try:
        check(data, ContextLimits(entries=100_000))
    except PackingError as error:
        assert "more than 100000 entries" in error.what
    assert time.process_time() - start < 3


def test_random_damage_is_refused_or_harmless() -> None:
    data = make(A, info("s", SYM, "a"), (info("n" * 300), b"y" * 700), kind=tarfile.PAX_FORMAT)
    rng = random.Random(3)
    for _ in range(1500):
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(data))] = rng.randrange(256)
        try:
            check(bytes(damaged))
        except PackingError as error:
            assert os.linesep not in str(error)
