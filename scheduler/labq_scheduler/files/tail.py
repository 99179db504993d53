"""Where the last lines of a log begin: one quick pass over the headers, then backwards over the payloads.

Memory hardly grows with the log: one place is remembered for each 1,024 frames or mebibyte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import Struct

from labq.logfile import HEADER, Frame, read_frames

_LENGTH = Struct(">I")
_LENGTH_AT = HEADER.size - _LENGTH.size
_STRIDE_FRAMES, _STRIDE_BYTES = 1024, 2**20
_PIECE = 2**18


def tail_position(path: Path, lines: int, wants: Callable[[Frame], bool]) -> tuple[int, int]:
    """Return where the last ``lines`` lines begin: a frame's offset, and the bytes of its payload to leave out.

    Args:
        path: the log.
        lines: how many; 0 gives the end of the log.
        wants: which frames count; all together they are one text.
    """
    marks, end = _marks(path)
    if lines <= 0:
        return end, 0
    left, last, first = lines, True, (end, 0)
    for frame in _backwards(path, marks, end):
        if not wants(frame):
            continue
        at = frame.next_offset - len(frame.payload) - HEADER.size
        stop = len(frame.payload)
        if last and frame.payload.endswith(b"\n"):
            stop -= 1
        last = False
        while (newline := frame.payload.rfind(b"\n", 0, stop)) >= 0:
            left -= 1
            if not left:
                # The line may begin with the next frame: then nothing of this one is left.
                return (at, newline + 1) if newline + 1 < len(frame.payload) else (frame.next_offset, 0)
            stop = newline
        first = (at, 0)
    return first


def _marks(path: Path) -> tuple[list[int], int]:
    """Return the offsets of some frames, the first's included, and the end of the last whole frame."""
    marks, offset, count = [0], 0, 0
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return marks, 0
    try:
        size = os.fstat(descriptor).st_size
        buffer, base = b"", 0
        while True:
            at = offset - base
            if at + HEADER.size > len(buffer):
                buffer, base, at = os.pread(descriptor, _PIECE, offset), offset, 0
                if len(buffer) < HEADER.size:
                    return marks, offset
            following = offset + HEADER.size + _LENGTH.unpack_from(buffer, at + _LENGTH_AT)[0]
            if following > size:
                return marks, offset
            offset = following
            count += 1
            if count >= _STRIDE_FRAMES or offset - marks[-1] >= _STRIDE_BYTES:
                marks.append(offset)
                count = 0
    finally:
        os.close(descriptor)


def _backwards(path: Path, marks: list[int], end: int) -> Iterator[Frame]:
    for start in reversed(marks):
        block = []
        for frame in read_frames(path, start):
            if frame.next_offset > end:
                break
            block.append(frame)
            if frame.next_offset == end:
                break
        yield from reversed(block)
        end = start
