"""Where the tar of a build context comes from: the server's data directory, or the server by HTTP."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from labq_worker.paths import Paths
from labq_worker.server import Server, ServerError

log = logging.getLogger(__name__)
_CHUNK = 2**20
#: Seconds until the server is asked again: at first, and at most.
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0


class ContextError(Exception):
    """The context cannot be had; carries a sentence for its owner."""


class ContextSource:
    """Opens contexts by their SHA-256."""

    def __init__(self, paths: Paths, server: Server | None) -> None:
        """Use the data directory.

        Args:
            paths: the data directory.
            server: fetch from here; None = the server's data directory is ours.
        """
        self._paths = paths
        self._server = server

    @contextlib.contextmanager
    def open(self, digest: str) -> Iterator[IO[bytes]]:
        """Open the tar of a context; a fetched copy is gone afterwards.

        Raises:
            ContextError: it cannot be had.
        """
        path = self._paths.context(digest)
        if self._server is None:
            try:
                handle = path.open("rb")
            except OSError as error:
                raise ContextError(
                    f"its build context is gone from the server ({error.strerror}); submit it again"
                ) from None
            with handle:
                yield handle
            return
        # Its own name for each fetch: two builds of one tree with different arguments may run at the same time.
        copy = path.with_name(f"{digest}.{os.urandom(4).hex()}.fetched")
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._fetch(self._server, digest, copy)
            with copy.open("rb") as handle:
                yield handle
        finally:
            copy.unlink(missing_ok=True)

    def _fetch(self, server: Server, digest: str, copy: Path) -> None:
        """Fetch it, however long the server is away: it restarts, and the build must not fail for that."""
        pause, wait, told = threading.Event(), FIRST_WAIT, False
        while True:
            try:
                seen = _write(server.get(f"/v1/contexts/{digest}", _CHUNK), copy)
                break
            except ServerError as error:
                if not error.passes:
                    raise ContextError(
                        f"its build context could not be fetched from the server: {error}"
                    ) from None
                if not told:
                    log.warning("context %s: %s; trying again until it answers", digest[:12], error)
                told = True
            except OSError as error:
                raise ContextError(
                    f"its build context could not be kept on this node: {error.strerror}"
                ) from None
            pause.wait(wait)
            wait = min(LONGEST_WAIT, wait * 2)
        if seen != digest:
            raise ContextError("its build context arrived damaged; submit it again")


def _write(chunks: Iterator[bytes], copy: Path) -> str:
    seen = hashlib.sha256()
    with copy.open("wb") as handle:
        for chunk in chunks:
            seen.update(chunk)
            handle.write(chunk)
    return seen.hexdigest()
