"""Judging a packed context before anything unpacks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from labq.packing.errors import PackingError, shown
from labq.packing.members import members
from labq.packing.tarheader import BLOCK, check_header
from labq.packing.tree import ContextLimits, Tree

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["ContextLimits", "ContextSummary", "check_context"]

_COMPRESSED: Final = {
    b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz", b"BZh": "bzip2",
    b"\x04\x22\x4d\x18": "lz4", b"PK\x03\x04": "zip",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ContextSummary:
    """What a context holds.

    Attributes:
        files: Regular files, hard links included.
        directories: Directories that have an entry.
        symlinks: Symbolic links.
        unpacked_bytes: The sum of all contents, in bytes.
        tar_bytes: The size of the tar in bytes.
    """

    files: int
    directories: int
    symlinks: int
    unpacked_bytes: int
    tar_bytes: int


def check_context(
    fileobj: BinaryIO, limits: ContextLimits | None = None, dockerfile: str | None = "Dockerfile"
) -> ContextSummary:
    """Check that a tar is a context that is safe to unpack and to build.

    It reads headers only and never unpacks. A symlink may point anywhere, since a build resolves
    it within the context, but nothing may be written through one.

    Args:
        fileobj: The tar, seekable; its position afterwards is undefined.
        limits: What is accepted; None for the defaults.
        dockerfile: The Dockerfile's path in the context; None when it is not known yet.

    Returns:
        What it holds.

    Raises:
        PackingError: If it is not an uncompressed, complete tar, holds anything but files,
            directories and links within its tree, exceeds a limit, or lacks its Dockerfile.
    """
    limits = limits or ContextLimits()
    size = _check_start(fileobj)
    tree = Tree(limits)
    for member in members(fileobj):
        tree.count_one()
        if member is not None:
            tree.add(member)
    if dockerfile is not None and tree.kind_of(dockerfile.encode("utf-8", "surrogateescape")) not in (
        "file",
        "symlink",
    ):
        raise PackingError(
            f"The context has no {shown(dockerfile)}.",
            "Pack a directory that holds its Dockerfile, or name the right one.",
        )
    return ContextSummary(tree.files, tree.directories, tree.symlinks, tree.unpacked, size)


def _check_start(fileobj: BinaryIO) -> int:
    size = fileobj.seek(0, 2)
    fileobj.seek(0)
    start = fileobj.read(BLOCK)
    try:
        check_header(start, 1)
    except PackingError:  # only now: a tar begins with a name, and "BZh.txt" is a name
        for magic, name in _COMPRESSED.items():
            if start.startswith(magic):
                raise PackingError(
                    f"The context is compressed with {name}.", "Send the tar uncompressed."
                ) from None
    if not size:
        raise PackingError("The context is empty: 0 bytes arrived.", "Send it again.")
    return size
