"""Container -> log file: every byte, once, in order, as soon as it is written.

Live output comes from an attach that was opened before the start. When that breaks off while the container runs
(the engine restarts), or when another agent process had opened it, the engine's own log is read from its
beginning, and what the file already has is skipped: each stream carries the same bytes in both sources.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from labq.logfile import REMARK, LogWriter, last_lines
from labq_worker.demux import Demux, EngineLog, Skip, TimedPiece

log = logging.getLogger(__name__)
#: The engine keeps at most 2 GB; beyond this the beginning may be gone and bytes cannot be counted off.
COUNTABLE = 900 * 2**20
_TAIL_LINES = 20


class Source(Protocol):
    """Live output."""

    def read(self) -> bytes:
        """Return what has come; ``b""`` at the end."""


class AttemptLog:
    """The log file of one attempt. For one thread."""

    def __init__(
        self, path: Path, clock: Callable[[], float], wake: Callable[[], None] | None = None
    ) -> None:
        """Open the file, or go on with it.

        Args:
            path: the file.
            clock: returns the seconds since the epoch.
            wake: called after each write (whoever ships the file listens).
        """
        self.path = path
        self._clock = clock
        self._wake = wake
        self._writer = LogWriter(path)
        #: something could not be written; the engine's log has it
        self.broken = False

    def follow_live(self, stream: Source) -> None:
        """Write what the container writes, until the stream ends."""
        demux = Demux()
        while data := stream.read():
            at = int(self._clock() * 1e9)
            self._write((number, at, payload) for number, payload in demux.feed(data))

    def follow_engine(self, chunks: Iterable[bytes]) -> None:
        """Write what the engine's log has and the file has not, until the stream ends.

        Args:
            chunks: the engine's log from its beginning.
        """
        if self.broken:
            # What could not be written may be fetched now; opening it again cuts off a torn frame.
            self._writer.close()
            self._writer, self.broken = LogWriter(self.path), False
        known = self._writer.written
        if sum(known.values()) > COUNTABLE:
            self.remark("labq: some lines may be missing or doubled here: the engine keeps no more than 2 GB")
        engine_log, skip = EngineLog(), Skip(known)
        for chunk in chunks:
            self._write(skip.rest(engine_log.feed(chunk)))

    def remark(self, text: str) -> None:
        """Write a line of labq's own."""
        self._write([(REMARK, int(self._clock() * 1e9), text.encode() + b"\n")])

    def tail(self) -> list[str]:
        """Return the last lines."""
        return last_lines(self.path, _TAIL_LINES)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def _write(self, pieces: Iterable[TimedPiece]) -> None:
        for stream, at, payload in pieces:
            if self.broken or not payload:
                continue
            try:
                self._writer.write(stream, at, payload)
            except OSError as error:
                # A full disk must not stop the job: its output is read on, unkept, and fetched again at the end.
                log.error("%s cannot be written: %s", self.path, error.strerror)  # noqa: TRY400
                self.broken = True
        if self._wake is not None:
            self._wake()
