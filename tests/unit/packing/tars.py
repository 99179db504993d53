"""Tars made by hand, well and badly."""

import io
import tarfile

from labq.packing.check import ContextLimits, ContextSummary, check_context

DOCKERFILE = b"FROM scratch\n"


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def make(*items: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], kind: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar with a Dockerfile and the given entries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
        for item in ((info("Dockerfile"), DOCKERFILE), *items):
            member, data = item if isinstance(item, tuple) else (item, b"")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def check(data: bytes, limits: ContextLimits | None = None) -> ContextSummary:
    return check_context(io.BytesIO(data), limits)


def patched(data: bytes, start: int, new: bytes) -> bytes:
    """Change a header's bytes, counted from the second entry's, and repair its checksum."""
    start += 1024
    data = data[:start] + new + data[start + len(new) :]
    head = bytearray(data[1024:1536])
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return data[:1024] + head + data[1536:]


def long_header(kind: bytes, text: bytes) -> bytes:
    head = info("././@LongLink", kind)
    head.size = len(text)
    return head.tobuf(tarfile.GNU_FORMAT) + text + bytes(-len(text) % 512)


def pax(record: bytes, kind: bytes = b"x", item: tarfile.TarInfo | None = None) -> bytes:
    data = make(item or info("a"))
    return data[:1024] + long_header(kind, record) + data[1024:]


SYM, LNK, DIR = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
A = (info("a"), b"x")
