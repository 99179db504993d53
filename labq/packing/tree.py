"""The tree that a tar would unpack to."""

from __future__ import annotations

from dataclasses import dataclass

from labq.packing.errors import PackingError, shown
from labq.packing.members import MAX_NAME, Member
from labq.packing.walk import MAX_DEPTH

_LEAVE_OUT = "Every name must lie in the context: pack the directory itself, with labq or tar -C."


class _Directory(dict[bytes, "_Directory | str"]):
    """What lies in a directory: directories, and the kind of anything else."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class ContextLimits:
    """What a context may be at most.

    Attributes:
        entries: Headers in the tar, and directories that they imply.
        unpacked_bytes: The sum of all contents, in bytes.
        name_bytes: The length of a name or a link target, in bytes.
        depth: Directories within each other, counted as slashes in a name.
    """

    entries: int = 500_000
    unpacked_bytes: int = 32 * 1024**3
    name_bytes: int = MAX_NAME
    depth: int = MAX_DEPTH


class Tree:
    """The tree that a tar would unpack to, built name by name.

    Attributes:
        files: Regular files, hard links included.
        directories: Directories that have an entry.
        symlinks: Symbolic links.
        unpacked: The sum of all contents so far, in bytes.
    """

    def __init__(self, limits: ContextLimits) -> None:
        self.files = self.directories = self.symlinks = self.unpacked = 0
        self._limits = limits
        self._count = 0
        self._root = _Directory()

    def count_one(self) -> None:
        """Count something that costs time or memory against the limit of entries."""
        self._count += 1
        if self._count > self._limits.entries:
            raise PackingError(
                f"The context has more than {self._limits.entries} entries.",
                "Name what the build does not need in .dockerignore (often .git, data sets, "
                "virtual environments).",
            )

    def add(self, member: Member) -> None:
        """Place an entry; raise `PackingError` if it may not be there."""
        parts = self._parts(member.name, "The name")
        kind = member.kind
        if kind == "symlink":
            self._check_length(member.target, "The link target")
            if not member.target:
                raise PackingError(f"{shown(member.name)} links to nothing.", _LEAVE_OUT)
        elif kind == "hard link":
            kind = self._linked(member)
        self._place(member, parts, kind)
        self.unpacked += member.size
        if self.unpacked > self._limits.unpacked_bytes:
            raise PackingError(
                f"The context unpacks to more than {self._limits.unpacked_bytes} bytes: "
                f"{shown(member.name)} is one too many.",
                "Name large data in .dockerignore and mount it in the job instead.",
            )

    def kind_of(self, name: bytes) -> str | None:
        """What a path is, or None; a path through a symlink is not followed."""
        node: _Directory | str | None = self._root
        for part in name.split(b"/"):
            if part in (b"", b"."):
                continue
            if not isinstance(node, _Directory):
                return None
            node = node.get(part)
        return "directory" if isinstance(node, _Directory) else node

    def _place(self, member: Member, parts: list[bytes], kind: str) -> None:
        node = self._root
        for part in parts[:-1]:
            below = node.get(part)
            if below is None:
                self.count_one()
                below = node[part] = _Directory()
            if not isinstance(below, _Directory):
                raise PackingError(
                    f"{shown(member.name)} would be written through {shown(part)}, a {below}.",
                    "An entry may lie only beneath directories: pack the directory again.",
                )
            node = below
        old = node.get(parts[-1]) if parts else node
        old_kind = "directory" if isinstance(old, _Directory) else old
        if old_kind not in (None, kind):
            raise PackingError(
                f"{shown(member.name)} is there twice, as a {old_kind} and as a {kind}.",
                "A name may mean one thing only: pack the directory again.",
            )
        if old is None:
            node[parts[-1]] = _Directory() if kind == "directory" else kind
        self.files += kind == "file"
        self.directories += kind == "directory"
        self.symlinks += kind == "symlink"

    def _linked(self, member: Member) -> str:
        """The kind of what a hard link names; it must have come before."""
        self._parts(member.target, f"The hard link {shown(member.name)} to")
        kind = self.kind_of(member.target)
        if kind not in ("file", "symlink"):
            raise PackingError(
                f"The hard link {shown(member.name)} names {shown(member.target)}, which is "
                f"{'a directory' if kind else 'no earlier entry'}.",
                "A hard link names a file that comes before it: pack the directory again.",
            )
        return kind

    def _parts(self, name: bytes, what: str) -> list[bytes]:
        self._check_length(name, what)
        if name.count(b"/") > self._limits.depth + 1:
            raise PackingError(
                f"{what} {shown(name)} lies {name.count(b'/')} directories deep.",
                f"Legal are at most {self._limits.depth}: move it up.",
            )
        if name.startswith(b"/"):
            raise PackingError(f"{what} {shown(name)} is absolute.", _LEAVE_OUT)
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise PackingError(f'{what} {shown(name)} has "..".', _LEAVE_OUT)
        if not name:
            raise PackingError(f"{what} is empty.", _LEAVE_OUT)
        return parts

    def _check_length(self, name: bytes, what: str) -> None:
        if len(name) > self._limits.name_bytes:
            raise PackingError(
                f"{what} {shown(name)} has {len(name)} bytes.",
                f"Legal are at most {self._limits.name_bytes} bytes: rename it.",
            )
