"""The engine's byte streams, taken apart. Pure.

The engine frames the output of a container as ``[stream, 0, 0, 0, length (4 bytes, big endian)] payload``.
Two sources carry the same bytes of each stream:

    attach   what the process wrote, at once, in whatever pieces it was read          -> ``Demux``
    log      what the engine kept, a message for each line, with the time before it   -> ``EngineLog``
"""

from __future__ import annotations

import struct
from calendar import timegm
from collections.abc import Iterable, Mapping

_HEAD = struct.Struct(">BxxxL")
#: The engine cuts longer lines into messages of this size.
PARTIAL = 16384
Piece = tuple[int, bytes]
TimedPiece = tuple[int, int, bytes]


class Demux:
    """Frames in any cut -> pieces of payload, each as soon as it is there."""

    def __init__(self) -> None:
        """Begin between two frames."""
        self._rest = b""
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> list[Piece]:
        """Return ``(stream, bytes)`` in order; neighbours of the same stream are joined."""
        if self._rest:
            data = self._rest + data
        view, position, end = memoryview(data), 0, len(data)
        out: list[tuple[int, list[memoryview]]] = []
        while position < end:
            if not self._left:
                if end - position < _HEAD.size:
                    break
                self._stream, self._left = _HEAD.unpack_from(data, position)
                position += _HEAD.size
                continue
            part = view[position : position + self._left]
            position += len(part)
            self._left -= len(part)
            if out and out[-1][0] == self._stream:
                out[-1][1].append(part)
            else:
                out.append((self._stream, [part]))
        self._rest = data[position:]
        return [(stream, b"".join(parts)) for stream, parts in out]


class EngineLog:
    """Frames of the engine's own log, in any cut -> ``(stream, time in ns, bytes as they were written)``.

    Before version 23 the engine's "local" driver forgets the newline of a line longer than 16 KiB. A message that
    follows a full-size piece, is itself shorter and does not end a line, is the last piece of such a line: its
    newline is put back.
    """

    def __init__(self) -> None:
        """Begin at the first message."""
        self._rest = b""
        self._in_long_line: dict[int, bool] = {}
        self._second = ("", 0)

    def feed(self, data: bytes) -> list[TimedPiece]:
        """Return the whole messages that are there, neighbours of the same stream joined."""
        if self._rest:
            data = self._rest + data
        position, end = 0, len(data)
        out: list[tuple[int, int, list[bytes]]] = []
        while end - position >= _HEAD.size:
            stream, length = _HEAD.unpack_from(data, position)
            start = position + _HEAD.size
            if end - start < length:
                break
            position = start + length
            stamp, _, payload = data[start:position].partition(b" ")
            payload = self._whole(stream, payload)
            if out and out[-1][0] == stream:
                out[-1][2].append(payload)
            else:
                out.append((stream, self._nanoseconds(stamp), [payload]))
        self._rest = data[position:]
        return [(stream, at, b"".join(parts)) for stream, at, parts in out]

    def _whole(self, stream: int, payload: bytes) -> bytes:
        if payload.endswith(b"\n"):
            self._in_long_line[stream] = False
            return payload
        if len(payload) >= PARTIAL:
            self._in_long_line[stream] = True
            return payload
        if self._in_long_line.get(stream):
            self._in_long_line[stream] = False
            return payload + b"\n"
        return payload

    def _nanoseconds(self, stamp: bytes) -> int:
        text = stamp.decode("ascii", "replace")
        whole, _, fraction = text.rstrip("Z").partition(".")
        if whole != self._second[0]:
            self._second = (whole, _seconds(whole))
        digits = fraction[:9].ljust(9, "0")
        return self._second[1] * 10**9 + (int(digits) if digits.isdigit() else 0)


class Skip:
    """Drops the bytes of each stream that are already in the log file."""

    def __init__(self, written: Mapping[int, int]) -> None:
        """Skip ``written`` bytes of each stream."""
        self._left = dict(written)

    def rest(self, pieces: Iterable[TimedPiece]) -> list[TimedPiece]:
        """Return what is new."""
        out = []
        for stream, at, payload in pieces:
            left = self._left.get(stream, 0)
            if left >= len(payload):
                self._left[stream] = left - len(payload)
                continue
            if left:
                self._left[stream] = 0
            out.append((stream, at, payload[left:] if left else payload))
        return out


def _seconds(text: str) -> int:
    try:
        date, _, clock = text.partition("T")
        year, month, day = (int(part) for part in date.split("-"))
        hour, minute, second = (int(part) for part in clock.split(":"))
    except ValueError:
        return 0
    return timegm((year, month, day, hour, minute, second))
