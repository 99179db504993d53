"""Log files on the server: reading them raw in constant memory, and appending what a remote agent sends.

Lives here: which bytes of a log a reader gets (tail, since, stream, time stamps).
Must not live here: the format (labq/logfile.py), HTTP, following (api/follow.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labq.clock import rfc3339
from labq.errors import ConflictError
from labq.logfile import REMARK, STDERR, STDOUT, Frame, read_frames
from labq_scheduler.files.locked import LockedFile, storage_error
from labq_scheduler.files.tail import tail_position

STREAM_NAMES = {STDOUT: "stdout", STDERR: "stderr", REMARK: "labq"}
#: The most lines that ``tail`` gives; whoever wants more wants the whole.
MAX_TAIL = 100_000
_PIECE = 2**16


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a log is wanted."""

    #: the last so many lines; None = all
    tail: int | None = None
    #: nanoseconds since the epoch; 0 = from the start
    since_ns: int = 0
    #: STDOUT, STDERR, or None for all
    stream: int | None = None
    timestamps: bool = False

    def wants(self, frame: Frame) -> bool:
        """Return whether the frame is part of it (the tail apart)."""
        return frame.time_ns >= self.since_ns and self.stream in {None, frame.stream}


def first_position(path: Path, selection: Selection) -> tuple[int, int]:
    """Return where the selection begins: a frame's offset, and the bytes of its payload to leave out."""
    if selection.tail is None:
        return 0, 0
    return tail_position(path, min(selection.tail, MAX_TAIL), selection.wants)


def read_raw(path: Path, selection: Selection) -> Iterator[bytes]:
    """Yield the bytes of the selection in pieces of about 64 KiB."""
    offset, skip = first_position(path, selection)
    stamp = Stamps() if selection.timestamps else None
    buffer = bytearray()
    for frame in read_frames(path, offset):
        payload, skip = frame.payload[skip:], 0
        if not selection.wants(frame):
            continue
        buffer += stamp.add(frame, payload) if stamp else payload
        if len(buffer) >= _PIECE:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)


class Stamps:
    """Puts the time before each line; remembers, for each stream, whether a line is open."""

    def __init__(self) -> None:
        """Begin with no open line."""
        self._open: set[int] = set()

    def add(self, frame: Frame, payload: bytes) -> bytes:
        """Return the payload with a time stamp at the start of each line."""
        stamp = rfc3339(frame.time_ns / 1e9).encode() + b" "
        lines = payload.splitlines(keepends=True) if b"\r" not in payload else _lines(payload)
        out = bytearray()
        for line in lines:
            if frame.stream not in self._open:
                out += stamp
                self._open.add(frame.stream)
            out += line
            if line.endswith(b"\n"):
                self._open.discard(frame.stream)
        return bytes(out)


def _lines(payload: bytes) -> list[bytes]:
    parts = payload.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


class LogAppend:
    """One request of an agent that appends to a log file."""

    def __init__(self, path: Path, offset: int) -> None:
        """Lock the file.

        Raises:
            ConflictError: the file does not end at ``offset``; ``details.size`` says where it does.
        """
        self._file = LockedFile(path, f"log {path.parent.name}/{path.name}")
        self._start = offset
        if offset != self._file.size:
            size = self._file.size
            self._file.close()
            raise ConflictError(
                f"log {path.parent.name}/{path.name} has {size} bytes, the request goes on at {offset}",
                f"send again with X-Offset: {size}",
                size=size,
            )

    @property
    def size(self) -> int:
        """Return the bytes of the file."""
        return self._file.size

    def write(self, data: bytes | bytearray) -> None:
        """Append.

        Raises:
            StorageFullError: the disk is full; the file is as it was before the request.
        """
        try:
            self._file.write(data)
        except OSError as error:
            self._file.truncate(self._start)
            raise storage_error(error, "receiving a log") from None

    def close(self) -> None:
        """Let others go on with it."""
        self._file.close()
