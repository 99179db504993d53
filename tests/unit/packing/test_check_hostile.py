"""Tars from strangers: each trick is refused, in words."""

import tarfile

import pytest
from unit.packing.tars import DIR, LNK, SYM, A, check, info, long_header, make, patched, pax

from labq.packing.errors import PackingError

HOSTILE: dict[str, tuple[bytes, str]] = {
    "absolute": (make(info("/etc/passwd")), r'The name "/etc/passwd" is absolute'),
    "dotdot": (make(info("a/../../b")), r'"a/../../b" has "\.\."'),
    "dotdot alone": (make(info("..", DIR)), r'has "\.\."'),
    "no name": (make(info("")), "The name is empty|is empty"),
    "char": (make(info("null", tarfile.CHRTYPE)), '"null" is a character device'),
    "block": (make(info("sda", tarfile.BLKTYPE)), '"sda" is a block device'),
    "fifo": (make(info("p\x1b", tarfile.FIFOTYPE)), r'"p\\x1b" is a fifo'),
    "contiguous": (make(info("c", b"7")), 'of type "7"'),
    "volume label": (make(info("c", b"V")), 'of type "V"'),
    "hard link absolute": (make(info("h", LNK, "/etc/shadow")), r'to "/etc/shadow" is absolute'),
    "hard link leaves": (make(info("h", LNK, "../x")), r'to "../x" has "\.\."'),
    "hard link to nothing": (make(info("h", LNK, "x")), '"x", which is no earlier entry'),
    "hard link to later": (make(info("h", LNK, "a"), A), "no earlier entry"),
    "hard link to directory": (make(info("d", DIR), info("h", LNK, "d")), "a directory"),
    "hard link through link": (
        make(info("s", SYM, "/etc"), info("h", LNK, "s/shadow")),
        "no earlier entry",
    ),
    "through link": (make(info("s", SYM, "/etc"), info("s/x")), '"s/x" would be written through'),
    "through hard link to link": (
        make(info("s", SYM, "/etc"), info("h", LNK, "s"), info("h/x")),
        'through "h", a symlink',
    ),
    "deep through link": (make(info("d/s", SYM, "/"), info("./d//s/y/z")), 'through "s"'),
    "beneath file": (make(A, info("a/b")), 'through "a", a file'),
    "empty link": (make(info("s", SYM, "")), "links to nothing"),
    "two kinds": (make(A, info("a", SYM, "b")), "twice, as a file and as a symlink"),
    "two kinds, implied": (make(info("d/x"), info("d", SYM, "b")), "as a directory and as a sym"),
    "link then directory": (make(info("d", SYM, "/"), info("d", DIR)), "as a symlink and as a dir"),
    "root as file": (make(info(".")), "twice, as a directory and as a file"),
    "file with slash": (patched(make(A), 0, b"a/"), "ends in a slash"),
    "old file with slash": (patched(patched(make(A), 0, b"a/"), 156, b"\0"), "ends in a slash"),
    "directory with data": (patched(make(A), 156, b"5"), "a directory and yet has 1 bytes"),
    "link with data": (patched(make(A), 156, b"2"), "a symlink and yet has"),
    "deep": (make(info("a/" * 1000 + "b")), "lies 1000 directories deep"),
    "long name": (make(info("n" * 4097)), "names of at most 4096"),
    "long pax name": (make(info("n" * 5000), kind=tarfile.PAX_FORMAT), "has 5000 bytes"),
    "long link": (make(info("s", SYM, "t" * 4097)), "at most 4096"),
    "huge long header": (patched(pax(b"x", b"L"), 124, b"\x80" + b"\xff" * 11), "extension header"),
    "huge size": (patched(make(A), 124, b"\x80" + b"\xff" * 11), "truncated: it ends within entry"),
    "negative size": (patched(make(A), 124, b"\xff" * 12), "not an octal number"),
    "bad size": (patched(make(A), 124, b"0_1        \0"), "not an octal number"),
    "old sparse": (patched(make(A), 156, b"S"), '"a" is a sparse file'),
    "pax sparse": (pax(b"22 GNU.sparse.major=1\n"), "is a sparse file"),
    "pax size beyond": (pax(b"23 size=99999999999999\n"), "truncated"),
    "pax size text": (pax(b"11 size=1x\n"), 'is "1x", not a number'),
    "pax size signed": (pax(b"11 size=-1\n"), "not a number"),
    "pax empty path": (pax(b"8 path=\n"), "pax header"),
    "pax path with NUL": (pax(b"11 path=\0x\n"), "pax header"),
    "pax path twice": (pax(b"10 path=b\n10 path=c\n"), "pax header"),
    "pax path for all": (pax(b"10 path=b\n", b"g"), "pax header"),
    "pax leaves": (pax(b"11 path=..\n"), r'has "\.\."'),
    "pax no length": (pax(b"x path=b\n"), "damaged"),
    "pax many digits": (pax(b"9" * 100_000), "damaged"),
    "pax zero": (pax(b"0 path=b\n"), "damaged"),
    "pax beyond": (pax(b"999 path=b\n"), "damaged"),
    "pax and long name": (
        pax(b"10 path=b\n", item=info("n" * 200)),
        "two extension headers that contradict",
    ),
    "long name twice": (pax(b"x\0", b"L", info("n" * 200)), "contradict"),
    "long name at the end": (
        make()[:1024] + long_header(b"L", b"x") + bytes(1024),
        "announces another",
    ),
    "gnu prefix": (patched(make(A), 345, b"../.."), "fields that its format does not have"),
    "star prefix": (
        patched(patched(make(A, kind=tarfile.USTAR_FORMAT), 345, b"x"), 508, b"tar\0"),
        "fields that its format",
    ),
    "bad checksum": (make(A)[:1030] + b"z" + make(A)[1031:], "header of entry 2 is damaged"),
    "joined": (make() + make(), "more bytes"),
    "endless": (make() + bytes(2_000_000), "more bytes"),
    "not a tar": (b"#!/bin/sh\n" * 200, 'not a tar: it begins with "#!/bin/sh'),
    "short": (b"hello", "truncated"),
    "gzip": (b"\x1f\x8b\x08" + bytes(600), "compressed with gzip. Send the tar uncompressed"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(600), "compressed with zstd"),
    "xz": (b"\xfd7zXZ\0" + bytes(600), "compressed with xz"),
    "bzip2": (b"BZh9" + bytes(600), "compressed with bzip2"),
    "zip": (b"PK\x03\x04" + bytes(600), "compressed with zip"),
    "nothing": (b"", "0 bytes arrived"),
    "empty tar": (bytes(10240), 'has no "Dockerfile"'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name: str) -> None:
    data, said = HOSTILE[name]
    with pytest.raises(PackingError, match=said) as caught:
        check(data)
    assert len(str(caught.value)) < 800
    assert caught.value.what.endswith(".")
    assert caught.value.next.endswith((".", ")."))
