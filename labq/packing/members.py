"""A strict reader of tar headers, for tars that strangers made.

Python's, Go's and GNU's readers differ on malformed headers, and one that takes a header
differently from another can be made to check one file and extract a second. So whatever they
could differ on is refused here. Contents are skipped, not read, and no header costs more than
its own length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labq.packing.errors import shown
from labq.packing.tarheader import BLOCK, check_header, read_number, refused, sparse, truncated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

MAX_NAME = 4096  # bytes of a name or a link target
_MAX_EXTENDED = 256 * 1024  # bytes of one pax header; 64 KiB of attributes must fit
_MAX_TRAILER = 1024 * 1024  # bytes of zeros after the end; GNU tar fills up to 10 KiB by default
_PLAIN = {b"0": "file", b"\0": "file", b"1": "hard link", b"2": "symlink",
          b"5": "directory"}  # fmt: skip
_DEVICES = {b"3": "a character device", b"4": "a block device", b"6": "a fifo"}


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a tar.

    Attributes:
        number: Its position, from 1; extension headers count too.
        name: Its name as written.
        kind: `file`, `directory`, `symlink` or `hard link`.
        size: Bytes of content; 0 unless it is a file.
        target: What a link names, else empty.
    """

    number: int
    name: bytes
    kind: str
    size: int
    target: bytes


def members(tar: BinaryIO) -> Iterator[Member | None]:
    """Read the headers of a tar from its start, skipping the contents.

    Args:
        tar: A seekable file, open for reading.

    Yields:
        Each entry; None for each extension header before one, so that the caller can count
        everything that costs time.

    Raises:
        PackingError: If it is no complete tar, or holds anything but files, directories and
            links.
    """
    end = tar.seek(0, 2)
    number = pos = 0
    extra: dict[str, bytes] = {}  # what extension headers say of the next entry
    while True:
        tar.seek(pos)
        block = tar.read(BLOCK)
        number += 1
        if len(block) < BLOCK:
            raise truncated(number, "its header")
        if not any(block):
            _finish(tar, end, number, pending=bool(extra))
            return
        kind, magic = block[156:157], check_header(block, number)
        size = read_number(block[124:136], f"the size of entry {number}")
        pos += BLOCK
        if kind in b"LKxg":
            data = _extension(tar, kind, size, end - pos, number)
            found = _extended(kind, data, number)
            if extra.keys() & found.keys():
                raise refused(f"Entry {number} has two extension headers that contradict.")
            extra |= found
            yield None
        else:
            member = _member(block, magic, size, extra, number)
            size, extra = member.size, {}
            if size > end - pos:
                raise truncated(number, shown(member.name))
            yield member
        pos += size + -size % BLOCK


def _extension(tar: BinaryIO, kind: bytes, size: int, left: int, number: int) -> bytes:
    limit = MAX_NAME + 1 if kind in b"LK" else _MAX_EXTENDED
    if size > limit:
        raise refused(
            f"Entry {number} is an extension header of {size} bytes.",
            f"Legal are {limit} bytes, so names of at most {MAX_NAME} bytes: rename the file.",
        )
    if size > left:
        raise truncated(number, "an extension header")
    return tar.read(size)


def _extended(kind: bytes, data: bytes, number: int) -> dict[str, bytes]:
    """What an extension header says of the next entry's name, link and size."""
    if kind in b"LK":
        return {"path" if kind == b"L" else "linkpath": data.split(b"\0", 1)[0]}
    found: dict[str, bytes] = {}
    pos = 0
    while pos < len(data):
        digits = data[pos : pos + 8].split(b" ", 1)[0]
        record = data[pos : pos + int(digits)] if digits.isdigit() else b""
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if not equals or not record.endswith(b"\n") or len(record) != int(digits):
            raise refused(f"The pax header of entry {number} is damaged at {shown(record)}.")
        pos += len(record)
        if key.startswith(b"GNU.sparse."):
            raise sparse(f"Entry {number}")
        if key in (b"path", b"linkpath", b"size"):
            if kind == b"g" or not value or b"\0" in value or key.decode() in found:
                raise refused(f"The pax header of entry {number} has {shown(record)}.")
            found[key.decode()] = value
    return found


def _member(block: bytes, magic: str, size: int, extra: dict[str, bytes], number: int) -> Member:
    flag = block[156:157]
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0]
    if magic == "ustar" and prefix:
        name = prefix + b"/" + name
    name = extra.get("path", name)
    target = extra.get("linkpath", block[157:257].split(b"\0", 1)[0])
    if "size" in extra:
        if not extra["size"].isdigit() or len(extra["size"]) > 20:
            raise refused(f"The size of {shown(name)} is {shown(extra['size'])}, not a number.")
        size = int(extra["size"])
    if flag == b"S":
        raise sparse(shown(name))
    kind = _PLAIN.get(flag)
    if kind is None:
        what = _DEVICES.get(flag, f"an entry of type {shown(flag)}")
        raise refused(
            f"{shown(name)} is {what}.",
            "A context holds files, directories and links: leave it out and pack again.",
        )
    if kind != "file" and size:
        raise refused(f"{shown(name)} is a {kind} and yet has {size} bytes of content.")
    if kind == "file" and name.endswith(b"/"):
        raise refused(f"{shown(name)} is a file whose name ends in a slash.")
    return Member(number, name, kind, size, target if "link" in kind else b"")


def _finish(tar: BinaryIO, end: int, number: int, *, pending: bool) -> None:
    """Check what follows the first block of zeros."""
    if pending:
        raise refused(f"Entry {number} ends the tar, but the header before it announces another.")
    rest = end - tar.tell()
    if rest < BLOCK:
        raise truncated(number, "the two blocks of zeros that end a tar")
    if rest > _MAX_TRAILER or any(tar.read(rest)):
        raise refused(
            f"After its end the tar has {rest} more bytes.",
            "Only zeros may follow, 1 MiB at most: send one tar, not several joined.",
        )
