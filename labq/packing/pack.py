"""Packing a directory into a deterministic tar that can be sent from any byte on."""

from __future__ import annotations

import os
from bisect import bisect_right
from itertools import accumulate

from labq.packing import content, tarformat
from labq.packing.errors import PackingError, shown
from labq.packing.walk import DIRECTORY, FILE, Entry, decoded, walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = content.CHUNK  # bytes: the least that `Context.stream` yields at once, but for the end


class Context:
    """A directory as it was found, ready to be sent as a tar. Made by `open_context`.

    The tar depends only on names, types, permission bits, link targets and contents of what is
    packed: owner, times and the place of the directory do not count.

    Attributes:
        directory: The directory, as it was given.
        dockerfile: The Dockerfile's path from the directory, as the builder must be told it.
        entries: How many files, directories and symlinks it holds.
        total_bytes: The exact size of the tar in bytes.
    """

    def __init__(self, directory: str, dockerfile: str, found: list[Entry]) -> None:
        self.directory = directory
        self.dockerfile = dockerfile
        self.entries = len(found)
        self.found = found
        self._root = os.fsencode(directory)
        sizes = (tarformat.header_size(e) + e.size + tarformat.padding(e.size) for e in found)
        self._starts = list(accumulate(sizes, initial=0))
        self.total_bytes = self._starts[-1] + len(tarformat.END)
        self._digest = ""

    def paths(self) -> Iterator[str]:
        """The entries' paths in the order of the tar; a directory's ends in a slash."""
        for entry in self.found:
            yield decoded(entry.path) + ("/" if entry.kind == DIRECTORY else "")

    def stream(self, offset: int = 0) -> Iterator[bytes]:
        """The tar's bytes from an offset on, in constant memory.

        Args:
            offset: The first byte to yield, 0 to `total_bytes`. Files whose content lies wholly
                before it are not opened.

        Yields:
            Chunks of 512 KiB to 1 MiB, the last one perhaps shorter.

        Raises:
            PackingError: If the offset is outside the tar, or a file is no longer what it was
                when the context was opened.
        """
        if not 0 <= offset <= self.total_bytes:
            raise PackingError(
                f"The tar of {shown(self._root)} has no byte {offset}.",
                f"Legal are 0 to {self.total_bytes}. Start again from 0.",
            )
        buffer = bytearray()
        for piece in self._pieces(offset):
            buffer += piece
            if len(buffer) >= CHUNK:
                yield bytes(buffer)
                buffer.clear()
        if buffer:
            yield bytes(buffer)

    def digest(self, progress: Callable[[int, int], None] | None = None) -> str:
        """The SHA-256 of the tar, which names the context.

        Args:
            progress: Called after each chunk with the bytes read so far and `total_bytes`.

        Returns:
            64 hexadecimal digits.

        Raises:
            PackingError: If a file is no longer what it was when the context was opened.
        """
        if not self._digest:
            import hashlib

            state, done = hashlib.sha256(), 0
            for chunk in self.stream():
                state.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, self.total_bytes)
            self._digest = state.hexdigest()
        return self._digest

    def digest_cached(
        self,
        cache_dir: str | os.PathLike[str],
        *,
        now: float,
        progress: Callable[[int, int], None] | None = None,
    ) -> str:
        """As `digest`, but without reading a tree again that has not changed since.

        Args:
            cache_dir: A directory of the user's own, made if it is missing.
            now: The present time in seconds since the epoch, taken before this call.
            progress: As for `digest`; not called when the cache knows the answer.

        Returns:
            64 hexadecimal digits.

        Raises:
            PackingError: As for `digest`. A cache that cannot be used is no error.
        """
        from labq.packing import cache

        key = cache.manifest_key(self.found)
        if not self._digest:
            self._digest = cache.lookup(cache_dir, self._root, self.dockerfile, key)
        if not self._digest:
            self.digest(progress)
            if not cache.racy(self.found, now):
                cache.store(cache_dir, self._root, self.dockerfile, key, self._digest)
        return self._digest

    def _pieces(self, offset: int) -> Iterator[bytes]:
        first = max(0, bisect_right(self._starts, offset) - 1)
        for index in range(first, len(self.found)):
            entry = self.found[index]
            skip = max(0, offset - self._starts[index])
            header = tarformat.header(entry)
            if skip < len(header):
                yield header[skip:]
            if entry.kind == FILE:
                skip = max(0, skip - len(header))
                if skip < entry.size:
                    yield from content.read(os.path.join(self._root, entry.path), entry, skip)
                yield bytes(max(0, tarformat.padding(entry.size) - max(0, skip - entry.size)))
        yield tarformat.END[max(0, offset - self._starts[-1]) :]


def open_context(directory: str | os.PathLike[str], dockerfile: str = "Dockerfile") -> Context:
    """Look through a directory and prepare its tar; no content is read yet.

    Args:
        directory: The context directory.
        dockerfile: The Dockerfile's path from that directory, or its absolute path.

    Returns:
        The context.

    Raises:
        PackingError: If the directory or the Dockerfile is missing, an ignore rule is illegal,
            or something in the directory cannot be packed.
    """
    from labq.packing.dockerfile import find, read_rules

    root = os.fspath(directory)
    name = find(root, dockerfile)
    raw = os.fsencode(root)
    return Context(root, name, walk(raw, read_rules(raw, name)))
