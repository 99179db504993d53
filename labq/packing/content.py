"""Reading a file's content while holding it to what it was when the context was opened."""

from __future__ import annotations

import os
import stat

from labq.packing.errors import PackingError, shown
from labq.packing.walk import Entry, trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 512 * 1024  # bytes
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def read(path: bytes, entry: Entry, skip: int) -> Iterator[bytes]:
    """Read a file in chunks.

    Args:
        path: The whole path.
        entry: What the file was when the context was opened.
        skip: The first byte to read.

    Yields:
        Its content from skip on, at most 512 KiB at once, in all exactly what entry says.

    Raises:
        PackingError: If the file cannot be read, or is not what it was.
    """
    try:
        fd = os.open(path, _FLAGS)
    except OSError as error:
        raise trouble(path, error) from None
    try:
        _same(path, entry, fd)
        while skip < entry.size:
            piece = os.pread(fd, min(CHUNK, entry.size - skip), skip)
            if not piece:
                raise _changed(path)
            skip += len(piece)
            yield piece
        _same(path, entry, fd)
    except OSError as error:
        raise trouble(path, error) from None
    finally:
        os.close(fd)


def _same(path: bytes, entry: Entry, fd: int) -> None:
    now = os.fstat(fd)
    if (now.st_size, now.st_mtime_ns) != (entry.size, entry.mtime_ns) or not stat.S_ISREG(now.st_mode):
        raise _changed(path)


def _changed(path: bytes) -> PackingError:
    return PackingError(
        f"{shown(path)} changed while it was being packed.",
        "Wait until nothing writes to it, or name it in .dockerignore, then submit again.",
    )
