"""The files of a build context, in one fixed order.

Names are bytes throughout: the result must not depend on the locale of whoever packs.
"""

from __future__ import annotations

import os
import stat

from labq.packing.errors import PackingError, shown
from labq.packing.ignore import IgnoreRules

MAX_DEPTH = 256  # directories within each other: what `check` accepts
FILE, DIRECTORY, SYMLINK = b"0", b"5", b"2"  # the type flags of tar
_KINDS = {stat.S_IFREG: FILE, stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: SYMLINK}
_REFUSED = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a fifo",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


class Entry:
    """One entry of the context, with what identifies the state it was found in.

    Attributes:
        path: The path from the context's root, separated by slashes, no slash at the end.
        kind: `FILE`, `DIRECTORY` or `SYMLINK`.
        mode: The permission bits, set-id and sticky bits included; always 0o777 for a symlink.
        size: Bytes of content, 0 unless it is a file.
        target: Where a symlink points, else empty.
        mtime_ns: Time of the last change of content, in ns since the epoch.
        ctime_ns: Time of the last change of the inode, in ns since the epoch.
        ino: The inode.
        dev: The device that the inode is on.
    """

    __slots__ = ("ctime_ns", "dev", "ino", "kind", "mode", "mtime_ns", "path", "size", "target")

    def __init__(self, path: bytes, kind: bytes, status: os.stat_result, target: bytes) -> None:
        self.path = path
        self.kind = kind
        self.mode = 0o777 if kind == SYMLINK else stat.S_IMODE(status.st_mode)
        self.size = status.st_size if kind == FILE else 0
        self.target = target
        self.mtime_ns = status.st_mtime_ns
        self.ctime_ns = status.st_ctime_ns
        self.ino = status.st_ino
        self.dev = status.st_dev


def decoded(name: bytes) -> str:
    """Decode a file name without loss, whatever the locale."""
    return name.decode("utf-8", "surrogateescape")


def trouble(path: bytes, error: OSError) -> PackingError:
    """Say why a file cannot be packed.

    Args:
        path: The whole path.
        error: What the system said.

    Returns:
        The error to raise.
    """
    if isinstance(error, FileNotFoundError):
        return PackingError(
            f"{shown(path)} vanished while it was being packed.",
            "A program still works there: stop it, or name its files in .dockerignore.",
        )
    if isinstance(error, PermissionError):
        return PackingError(
            f"{shown(path)} cannot be read: permission denied.",
            "A context holds only what you may read: chmod it, or name it in .dockerignore.",
        )
    return PackingError(
        f"{shown(path)} cannot be read: {error.strerror or error}.",
        "Repair or remove it, or name it in .dockerignore.",
    )


class _Frame:
    """A directory being walked; entry is set while it is excluded and not yet needed."""

    __slots__ = ("entry", "matched", "names", "prefix")

    def __init__(self, prefix: bytes, matched: int, names: list[bytes], entry: Entry | None) -> None:
        self.prefix = prefix
        self.matched = matched
        self.names = names
        self.entry = entry


def walk(root: bytes, rules: IgnoreRules) -> list[Entry]:
    """List what a context holds.

    Args:
        root: The context directory.
        rules: What to leave out.

    Returns:
        The entries: a directory before what it holds, names of one directory ordered by their
        bytes, symlinks never followed. The root itself is not among them; an excluded directory
        is if something in it is not excluded.

    Raises:
        PackingError: If something that is not left out is neither file, directory nor symlink,
            or cannot be read.
    """
    entries: list[Entry] = []
    stack = [_Frame(b"", 0, _listed(root), None)]
    while stack:
        frame = stack[-1]
        if not frame.names:
            stack.pop()
            continue
        relpath = frame.prefix + frame.names.pop()
        text = decoded(relpath)
        left_out, matched = rules.match(text, frame.matched)
        path = os.path.join(root, relpath)
        try:
            status = os.lstat(path)
        except OSError as error:
            raise trouble(path, error) from None
        is_dir = stat.S_ISDIR(status.st_mode)
        if left_out and (not is_dir or rules.can_prune(text)):
            continue
        entry = _entry(path, relpath, status)
        if not left_out:
            for above in stack:
                if above.entry is not None:
                    entries.append(above.entry)
                    above.entry = None
            entries.append(entry)
        if is_dir:
            if len(stack) > MAX_DEPTH:
                raise PackingError(
                    f"{shown(path)} lies {len(stack)} directories deep.",
                    f"Legal are {MAX_DEPTH}: move it up, or name it in .dockerignore.",
                )
            held = entry if left_out else None
            stack.append(_Frame(relpath + b"/", matched, _listed(path), held))
    return entries


def _listed(path: bytes) -> list[bytes]:
    """The names in a directory, last one first."""
    try:
        return sorted(os.listdir(path), reverse=True)
    except OSError as error:
        raise trouble(path, error) from None


def _entry(path: bytes, relpath: bytes, status: os.stat_result) -> Entry:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        what = _REFUSED.get(stat.S_IFMT(status.st_mode), "of an unknown type")
        raise PackingError(
            f"{shown(path)} is {what}.",
            "Only files, directories and symlinks are sent: name it in .dockerignore.",
        )
    try:
        target = os.readlink(path) if kind == SYMLINK else b""
    except OSError as error:
        raise trouble(path, error) from None
    if kind == FILE and not os.access(path, os.R_OK):
        raise trouble(path, PermissionError(13, "Permission denied"))
    return Entry(relpath, kind, status, target)
