"""Build contexts: uploaded once, resumable, checked before they count, named by their SHA-256.

Lives here: ``ContextFiles`` and ``Upload``. Blocking: call it in a thread.
Must not live here: HTTP (api/contexts.py), what a legal tar is (labq/packing).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import OrderedDict
from pathlib import Path

from labq.errors import BadInputError, ConflictError, NotFoundError, StorageFullError, TooLargeError
from labq.packing.check import ContextLimits, check_context
from labq.packing.errors import PackingError
from labq.units import about_bytes
from labq_scheduler.files.layout import DataDir
from labq_scheduler.files.locked import LockedFile, storage_error

_PIECE = 2**20
#: Bytes of the disk that an upload must leave free: Redis and the logs live there too.
KEEP_FREE = 64 * 2**20
#: Names of Dockerfiles that were found in their contexts, remembered so that a submit reads no tar.
_REMEMBERED = 4096


class ContextFiles:
    """All contexts of the server."""

    def __init__(self, files: DataDir, max_bytes: int) -> None:
        """Keep them in ``files``, none larger than ``max_bytes``."""
        self._files = files
        self._max_bytes = max_bytes
        self._found: OrderedDict[tuple[str, str], None] = OrderedDict()

    def has(self, digest: str) -> bool:
        """Return whether the context is there, complete and checked."""
        return self._files.context(digest).exists()

    def received(self, digest: str) -> int:
        """Return how many bytes of an unfinished upload are kept."""
        try:
            return self._part(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def path(self, digest: str) -> Path:
        """Return the tar.

        Raises:
            NotFoundError: when it is not there.
        """
        path = self._files.context(digest)
        if not path.exists():
            raise NotFoundError(
                f"the server does not have the build context {digest[:12]}…",
                "submit the directory again: labq submit DIR",
                context=digest,
            )
        return path

    def use(self, digest: str, dockerfile: str) -> None:
        """Note that a job needs the context now, so that it is kept.

        Raises:
            NotFoundError: when it is not there.
            BadInputError: when it has no such Dockerfile.
        """
        path = self.path(digest)
        if (digest, dockerfile) not in self._found:
            _check(path, dockerfile)
            self._found[digest, dockerfile] = None
            if len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)
        try:
            os.utime(path)
        except FileNotFoundError:
            self.path(digest)

    def begin(self, digest: str, offset: int, total: int | None) -> Upload:
        """Return the upload that appends at ``offset``.

        Raises:
            TooLargeError: larger than the site allows.
            StorageFullError: the disk has no room for it.
            ConflictError: somebody else sends it, or the offset is not where the kept part ends.
        """
        wanted = self._files.context(digest)
        if total is not None and total > self._max_bytes:
            raise too_large(total, self._max_bytes)
        part = LockedFile(self._part(digest), f"context {digest[:12]}…")
        try:
            self._admit(part, digest, offset, total)
            return Upload(part, wanted, digest, total, self._max_bytes)
        except BaseException:
            part.close()
            raise

    def _admit(self, part: LockedFile, digest: str, offset: int, total: int | None) -> None:
        if offset and offset != part.size:
            raise ConflictError(
                f"context {digest[:12]}…: {part.size} bytes were received, the request goes on at {offset}",
                f"send again with X-Offset: {part.size}",
                received=part.size,
            )
        if offset == 0 and part.size:
            part.truncate(0)
        left = shutil.disk_usage(part.path.parent).free - KEEP_FREE
        if total is not None and total - offset > left:
            part.remove()
            raise StorageFullError(
                f"the server's disk is full: {about_bytes(max(0, left))} left for a context of {about_bytes(total)}; "
                "nothing of it was kept",
                "ask an admin to free space in LABQ_DATA_DIR, or leave data out with .dockerignore",
            )

    def _part(self, digest: str) -> Path:
        return self._files.context(digest).with_suffix(".part")


class Upload:
    """One request's part of an upload. Close it whatever happens; what was written is kept for a resume."""

    def __init__(
        self, part: LockedFile, target: Path, digest: str, total: int | None, max_bytes: int
    ) -> None:
        """Go on after what ``part`` holds."""
        self._part, self._target, self._digest = part, target, digest
        self._total, self._max_bytes = total, max_bytes
        self._hash = hashlib.sha256()
        for offset in range(0, part.size, _PIECE):
            self._hash.update(part.pread(_PIECE, offset))

    @property
    def received(self) -> int:
        """Return the bytes that are kept so far."""
        return self._part.size

    def write(self, data: bytes | bytearray) -> None:
        """Append.

        Raises:
            TooLargeError: it grows over what was announced or what the site allows; nothing is kept.
            StorageFullError: the disk is full; nothing is kept.
        """
        size = self._part.size + len(data)
        if size > self._max_bytes:
            self._part.remove()
            raise too_large(size, self._max_bytes)
        if self._total is not None and size > self._total:
            self._part.remove()
            raise BadInputError(
                f"X-Total said {self._total} bytes, {size} arrived", "send the context again from its start"
            )
        try:
            self._part.write(data)
        except OSError as error:
            self._part.remove()
            raise storage_error(error, "receiving the build context") from None
        self._hash.update(data)

    def finish(self) -> bool:
        """Return True when the context is complete, checked and in place; False when more must come.

        Raises:
            BadInputError: it is not what its name says, or no tar that may be unpacked; nothing is kept.
        """
        if self._total is not None and self._part.size < self._total:
            return False
        found = self._hash.hexdigest()
        if found != self._digest:
            self._part.remove()
            raise BadInputError(
                f"the {self._part.size} bytes that arrived have SHA-256 {found}, not {self._digest}",
                "the upload was damaged on its way: send it again",
            )
        try:
            _check(self._part.path, None)
            self._part.sync()
            self._part.rename(self._target)
        except BadInputError:
            self._part.remove()
            raise
        except OSError as error:
            self._part.remove()
            raise storage_error(error, "keeping the build context") from None
        return True

    def close(self) -> None:
        """Let others go on with it."""
        self._part.close()


def too_large(size: int, most: int) -> TooLargeError:
    """Return the error for a context over the site's limit."""
    return TooLargeError(
        f"the build context has {about_bytes(size)}, this lab accepts {about_bytes(most)}",
        "leave data out with .dockerignore and mount it, or ask an admin to raise LABQ_MAX_CONTEXT",
    )


def _check(path: Path, dockerfile: str | None) -> None:
    try:
        with path.open("rb") as handle:
            check_context(handle, ContextLimits(), dockerfile)
    except PackingError as error:
        raise BadInputError(error.what, error.next) from None
