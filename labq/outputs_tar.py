"""The outputs of a job as one tar stream: for whoever fetches them, and for an agent that sends them away.

Constant memory whatever the size. Symlinks are kept as symlinks and never followed: what the job put there
is its own, what it points to is not. Standard library only.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

_PIECE = 2**18
_BLOCK = 512
#: Names of unreadable entries that the tar lists at most.
_MOST_NAMED = 1000
#: The file in which it lists them.
LIST_OF_LEFT_OUT = "LABQ-LEFT-OUT.txt"


def tar_of_directory(root: Path, left_out: list[str] | None = None) -> Iterator[bytes]:
    """Yield a tar of all that lies in ``root``, with names relative to it, in pieces of about 256 KiB.

    Regular files, directories and symlinks only; sockets, pipes and devices are left out. What may not be read is
    named in ``LABQ-LEFT-OUT.txt``. A file that shrinks while it is read is filled up with zeros, one that grows
    is cut.

    Args:
        root: the directory.
        left_out: gets "name: why" of what may not be read, the first thousand.

    Raises:
        OSError: ``root`` itself is gone.
    """
    return _gathered(_tar(root, [] if left_out is None else left_out))


def _tar(root: Path, left_out: list[str]) -> Iterator[bytes]:
    top = os.lstat(root)

    def leave_out(name: str, error: OSError) -> None:
        if len(left_out) < _MOST_NAMED:
            left_out.append(f"{name}: {error.strerror}")

    def unreadable(error: OSError) -> None:
        leave_out(os.path.relpath(str(error.filename or root), root), error)

    for folder, directories, files, descriptor in os.fwalk(root, onerror=unreadable, follow_symlinks=False):
        relative = os.path.relpath(folder, root)
        base = "" if relative == "." else f"{relative}/"
        directories.sort()
        for name in sorted(directories + files):
            try:
                yield from _entry(f"{base}{name}", name, descriptor)
            except FileNotFoundError:
                continue  # the job, which still runs, removed it meanwhile
            except OSError as error:
                leave_out(f"{base}{name}", error)
    if left_out:
        text = ("labq could not read:\n" + "\n".join(left_out) + "\n").encode("utf-8", "replace")
        yield _header(LIST_OF_LEFT_OUT, top, tarfile.REGTYPE, size=len(text))
        yield text + bytes(-len(text) % _BLOCK)
    yield bytes(2 * _BLOCK)


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same in larger pieces: of a million small files, each header would be a packet of its own."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= _PIECE:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer)


def _entry(path: str, name: str, directory: int) -> Iterator[bytes]:
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        yield _header(path, found, tarfile.DIRTYPE)
    elif stat.S_ISLNK(found.st_mode):
        yield _header(path, found, tarfile.SYMTYPE, link=os.readlink(name, dir_fd=directory))
    elif stat.S_ISREG(found.st_mode):
        # Between stat and open the job may put something else there: O_NOFOLLOW and a second look.
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        try:
            found = os.fstat(opened)
            if stat.S_ISREG(found.st_mode):
                yield _header(path, found, tarfile.REGTYPE, size=found.st_size)
                yield from _content(opened, found.st_size)
        finally:
            os.close(opened)


def _content(descriptor: int, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = os.read(descriptor, min(_PIECE, left)) or bytes(min(_PIECE, left))
        left -= len(piece)
        yield piece
    if size % _BLOCK:
        yield bytes(-size % _BLOCK)


def _header(path: str, found: os.stat_result, kind: bytes, *, size: int = 0, link: str = "") -> bytes:
    info = tarfile.TarInfo(path)
    info.type = kind
    info.size = size
    info.linkname = link
    info.mode = stat.S_IMODE(found.st_mode)
    info.uid, info.gid = found.st_uid, found.st_gid
    info.mtime = int(found.st_mtime)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
