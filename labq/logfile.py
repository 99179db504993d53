r"""The log file of one run: every byte that the container wrote, with its stream and its time.

Lives here: the format, ``LogWriter`` and the readers. The agent writes it; the server reads it while it grows.
Must not live here: where it is, or how it travels.

A file is a sequence of frames; a frame is a header and a payload:

    offset  size  what
    0       1     stream: 1 = stdout, 2 = stderr, 3 = labq's own remark
    1       8     time in nanoseconds since the epoch, big endian
    9       4     length of the payload in bytes, big endian, 1 to 2**20
    13      n     payload: raw bytes as written: lines, parts of lines, ``\r`` bars, any encoding

Bytes are neither decoded nor split into lines, so that what a program wrote survives. A writer that died
leaves at most one torn frame at the end; ``LogWriter`` cuts it off.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEADER = struct.Struct(">BQI")
STDOUT, STDERR, REMARK = 1, 2, 3
MAX_PAYLOAD = 2**20


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece of output."""

    stream: int
    #: nanoseconds since the epoch
    time_ns: int
    payload: bytes
    #: byte offset in the file just after this frame: where to go on
    next_offset: int


class LogWriter:
    """Appends frames to one file. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        """Open (or create) the file, cut off a torn frame, count what is there.

        Attributes:
            size: bytes of whole frames in the file.
            written: payload bytes per stream, ``{1: …, 2: …, 3: …}``: where a re-read goes on.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        self.written = {STDOUT: 0, STDERR: 0, REMARK: 0}
        self.size = 0
        end = os.fstat(self._descriptor).st_size
        while self.size + HEADER.size <= end:
            stream, _, length = HEADER.unpack(os.pread(self._descriptor, HEADER.size, self.size))
            if stream not in self.written or self.size + HEADER.size + length > end:
                break
            self.size += HEADER.size + length
            self.written[stream] += length
        os.ftruncate(self._descriptor, self.size)
        os.lseek(self._descriptor, self.size, os.SEEK_SET)

    def write(self, stream: int, time_ns: int, payload: bytes) -> None:
        """Append the payload (split when larger than a frame) so that readers see whole frames."""
        for start in range(0, len(payload), MAX_PAYLOAD):
            part = payload[start : start + MAX_PAYLOAD]
            frame = HEADER.pack(stream, time_ns, len(part)) + part
            view = memoryview(frame)
            while view:
                view = view[os.write(self._descriptor, view) :]
            self.size += len(frame)
            self.written[stream] += len(part)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_frames(path: Path, offset: int = 0) -> Iterator[Frame]:
    """Yield whole frames from ``offset`` (a frame's ``next_offset``, or 0) to the present end.

    A file that does not exist yields nothing. Call again with the last ``next_offset`` for what came since.
    """
    try:
        handle = path.open("rb")
    except FileNotFoundError:
        return
    with handle:
        handle.seek(offset)
        while len(head := handle.read(HEADER.size)) == HEADER.size:
            stream, time_ns, length = HEADER.unpack(head)
            payload = handle.read(length)
            if len(payload) < length:
                return
            offset += HEADER.size + length
            yield Frame(stream, time_ns, payload, offset)


def tail_offset(path: Path, lines: int) -> tuple[int, int]:
    """Return where the last ``lines`` lines begin: a frame's offset and the bytes of its payload to skip."""
    starts: list[tuple[int, int, int]] = []
    offset = 0
    try:
        handle = path.open("rb")
    except FileNotFoundError:
        return 0, 0
    with handle:
        while len(head := handle.read(HEADER.size)) == HEADER.size:
            _, _, length = HEADER.unpack(head)
            starts.append((offset, length, 0))
            offset += HEADER.size + length
            handle.seek(offset)
        wanted, last = lines, True
        for frame_offset, length, _ in reversed(starts):
            handle.seek(frame_offset + HEADER.size)
            payload = handle.read(length)
            end = len(payload)
            if last and payload.endswith(b"\n"):
                end -= 1
            last = False
            while (newline := payload.rfind(b"\n", 0, end)) >= 0:
                wanted -= 1
                if wanted <= 0:
                    return frame_offset, newline + 1
                end = newline
    return 0, 0


def last_lines(path: Path, count: int, most_bytes: int = 65536) -> list[str]:
    """Return the last lines as text (undecodable bytes replaced), reading at most ``most_bytes``."""
    offset, skip = tail_offset(path, count)
    data = b"".join(frame.payload for frame in read_frames(path, offset))[skip:]
    return data[-most_bytes:].decode(errors="replace").splitlines()[-count:]
