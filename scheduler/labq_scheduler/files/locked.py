"""A file that grows under a lock, and a full disk in labq's words."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from labq.errors import ConflictError, InternalError, LabqError, StorageFullError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def storage_error(error: OSError, doing: str) -> LabqError:
    """Return the error for a person when ``doing`` (a sentence part) failed on the server's disk."""
    if error.errno in _FULL:
        return StorageFullError(
            f"the server's disk is full ({error.strerror}) while {doing}; nothing of it was kept",
            "ask an admin to free space in LABQ_DATA_DIR (labq doctor shows how much is left), then try again",
        )
    return InternalError(f"{doing} failed on the server: {error.strerror}", "labq doctor")


class LockedFile:
    """A file open for writing that no other request, and no other process, writes at the same time."""

    def __init__(self, path: Path, what: str) -> None:
        """Open (or create) and lock it.

        Args:
            path: the file.
            what: what it is, for the message.

        Raises:
            ConflictError: when somebody else writes it.
        """
        self.path = path
        self._writing = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        while True:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.close()
                raise ConflictError(
                    f"{what} is being sent by another request", "wait a moment and try again", retry_after=1
                ) from None
            if self._is_still_there():
                break
            self.close()  # its last writer finished and moved it away just now
        self.size = os.lseek(self._descriptor, 0, os.SEEK_END)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def truncate(self, size: int) -> None:
        """Cut it to ``size`` bytes and go on from there."""
        os.ftruncate(self._descriptor, size)
        self.size = os.lseek(self._descriptor, size, os.SEEK_SET)

    def write(self, data: bytes | bytearray) -> None:
        """Append all of ``data``."""
        view = memoryview(data)
        with self._writing:
            while view:
                count = os.write(self._descriptor, view)
                view = view[count:]
                self.size += count

    def pread(self, count: int, offset: int) -> bytes:
        """Return up to ``count`` bytes at ``offset``."""
        return os.pread(self._descriptor, count, offset)

    def sync(self) -> None:
        """Wait until it is on the disk."""
        os.fsync(self._descriptor)

    def rename(self, target: Path) -> None:
        """Give it its final name, at once; still locked until it is closed."""
        self.path.replace(target)

    def remove(self) -> None:
        """Delete it; still locked until it is closed."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the lock back. A write in another thread (of a request that was given up) is waited for."""
        with self._writing:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _is_still_there(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        mine = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)
