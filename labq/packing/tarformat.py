"""Tar headers in GNU format, every field that could differ between two packers fixed.

Written by hand: `tarfile` costs the command line more time to import than this takes to run.
"""

from __future__ import annotations

from labq.packing.walk import DIRECTORY, Entry

BLOCK = 512  # bytes
END = bytes(2 * BLOCK)
_LONG = 100  # bytes that the name and the link field hold


def padding(size: int) -> int:
    """Bytes of zeros after a content of size bytes."""
    return -size % BLOCK


def header_size(entry: Entry) -> int:
    """Bytes of headers before an entry's content, without building them."""
    size = BLOCK
    for text in (_name(entry), entry.target):
        if len(text) > _LONG:
            size += BLOCK + len(text) + 1 + padding(len(text) + 1)
    return size


def header(entry: Entry) -> bytes:
    """Build the headers of an entry: owner 0:0, time 0, no names of user and group."""
    name, target = _name(entry), entry.target
    blocks = b""
    if len(target) > _LONG:
        blocks += _long(b"K", target)
    if len(name) > _LONG:
        blocks += _long(b"L", name)
    return blocks + _block(name, entry.kind, entry.mode, entry.size, target)


def _name(entry: Entry) -> bytes:
    return entry.path + b"/" if entry.kind == DIRECTORY else entry.path


def _long(kind: bytes, text: bytes) -> bytes:
    size = len(text) + 1
    return _block(b"././@LongLink", kind, 0, size, b"") + text + bytes(1 + padding(size))


def _block(name: bytes, kind: bytes, mode: int, size: int, target: bytes) -> bytes:
    number = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    before = b"%s%07o\0%s%s%s" % (
        name[:_LONG].ljust(_LONG, b"\0"),
        mode,
        b"0000000\0" * 2,
        number,
        b"00000000000\0",
    )
    after = b"%s%sustar  \0" % (kind, target[:_LONG].ljust(_LONG, b"\0"))
    total = sum(before) + sum(after) + 8 * ord(" ")
    return (before + b"%06o\0 " % total + after).ljust(BLOCK, b"\0")
