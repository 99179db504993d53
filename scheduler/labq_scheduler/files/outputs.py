"""Outputs of jobs: the directory that a container wrote, or the tar that a remote agent sent, as one tar stream.

Constant memory whatever the size. Symlinks are kept as symlinks and never followed: what the job put there
is its own, what it points to is not.
"""

from __future__ import annotations

import logging
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from labq.errors import ConflictError, InternalError
from labq_scheduler.files.layout import DataDir
from labq_scheduler.files.locked import LockedFile, storage_error

log = logging.getLogger(__name__)

_PIECE = 2**18
_BLOCK = 512
#: Names of unreadable entries that the tar lists at most.
_MOST_NAMED = 1000


def find_outputs(files: DataDir, job_id: str, attempt: int) -> Iterator[bytes] | None:
    """Return the outputs of an attempt as a tar stream; None when there are none (yet)."""
    tar, directory = files.output_tar(job_id, attempt), files.output_dir(job_id, attempt)
    if tar.is_file():
        with tar.open("rb") as handle:
            return pieces_of_file(tar) if handle.read(_BLOCK).strip(b"\0") else None
    if attempt and directory.is_dir() and not _is_empty(directory):
        return tar_of_directory(directory)
    return None


def tar_of_directory(root: Path) -> Iterator[bytes]:
    """Yield a tar of all that lies in ``root``, with names relative to it.

    Regular files, directories and symlinks only; sockets, pipes and devices are left out. What the server may
    not read is named in ``LABQ-LEFT-OUT.txt``. A file that shrinks while it is read is filled up with zeros,
    one that grows is cut.
    """
    top = os.lstat(root)
    left_out: list[str] = []

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
        log.warning("outputs %s: %d entries cannot be read", root, len(left_out))
        text = ("The labq server could not read:\n" + "\n".join(left_out) + "\n").encode("utf-8", "replace")
        yield _header("LABQ-LEFT-OUT.txt", top, tarfile.REGTYPE, size=len(text))
        yield text + bytes(-len(text) % _BLOCK)
    yield bytes(2 * _BLOCK)


def pieces_of_file(path: Path) -> Iterator[bytes]:
    """Yield a file in pieces."""
    with path.open("rb") as handle:
        while piece := handle.read(_PIECE):
            yield piece


class TarReceiver:
    """The outputs that an agent sends, whole: they count when the last byte was written."""

    def __init__(self, target: Path) -> None:
        """Write beside ``target``, from its start.

        Raises:
            ConflictError: another request sends the same.
        """
        self._target = target
        self._file = LockedFile(
            target.with_suffix(".tar.part"), f"outputs {target.parent.name}/{target.stem}"
        )
        self._file.truncate(0)

    def write(self, data: bytes | bytearray) -> None:
        """Append.

        Raises:
            StorageFullError: the disk is full; nothing is kept.
        """
        try:
            self._file.write(data)
        except OSError as error:
            self._file.remove()
            raise storage_error(error, "receiving the outputs") from None

    def finish(self, expected: int | None) -> int:
        """Put the tar in place and return its size.

        Raises:
            ConflictError: the request ended early; nothing is kept.
        """
        size = self._file.size
        if expected is not None and size != expected:
            self._file.remove()
            raise ConflictError(f"{size} of {expected} bytes of the outputs arrived", "send them again")
        try:
            self._file.sync()
            self._file.rename(self._target)
        except OSError as error:
            self._file.remove()
            raise storage_error(error, "keeping the outputs") from None
        return size

    def abort(self) -> None:
        """Keep nothing."""
        self._file.remove()

    def close(self) -> None:
        """Let others write."""
        self._file.close()


def _is_empty(directory: Path) -> bool:
    try:
        with os.scandir(directory) as entries:
            return not any(entries)
    except PermissionError:
        raise InternalError(
            f"the server may not read outputs/{directory.parent.name}/{directory.name}",
            "run labq-scheduler as root, or as the user to whom the outputs belong",
        ) from None


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
