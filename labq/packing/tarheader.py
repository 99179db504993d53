"""The single header block of a tar, and the words in which a malformed one is refused."""

from __future__ import annotations

from labq.packing.errors import PackingError, shown

BLOCK = 512  # bytes
_MAGICS = {b"ustar\x0000": "ustar", b"ustar  \0": "gnu", bytes(8): "v7"}
AGAIN = "Pack the directory again with labq, or with GNU tar (tar --format=gnu -cf)."


def refused(what: str, next_step: str = AGAIN) -> PackingError:
    """The error for a tar that is not accepted; the default next step is to pack again."""
    return PackingError(what, next_step)


def truncated(number: int, where: str) -> PackingError:
    """The error for a tar that ends too early."""
    return refused(
        f"The tar is truncated: it ends within entry {number}, in {where}.",
        "It did not arrive whole: send it again.",
    )


def check_header(block: bytes, number: int) -> str:
    """Check that a block is a header.

    Args:
        block: 512 bytes.
        number: The entry's position, for messages.

    Returns:
        Its format: `ustar` (also pax), `gnu` or `v7`.

    Raises:
        PackingError: If it is no header, or fills fields that readers take differently.
    """
    magic = _MAGICS.get(block[257:265])
    stored = block[148:156].strip(b"\0 ")
    total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if magic is None or not stored or stored.strip(b"01234567") or int(stored, 8) != total:
        if number == 1:
            raise refused(
                f"This is not a tar: it begins with {shown(block[:16])}.",
                "A context is an uncompressed tar of a directory. " + AGAIN,
            )
        raise refused(f"The header of entry {number} is damaged: {shown(block[:32])}.")
    if any(block[500:]) or (magic != "ustar" and any(block[345:500])):
        raise refused(f"Entry {number} has fields that its format does not have.")
    return magic


def read_number(field: bytes, what: str) -> int:
    """Read a numeric field: octal digits, or GNU's base 256 for large numbers."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    if digits.strip(b"01234567"):
        raise refused(f"The tar is damaged: {what} is {shown(field)}, not an octal number.")
    return int(digits, 8) if digits else 0


def sparse(name: str) -> PackingError:
    """The error for a sparse file: a few bytes of tar that may claim any size."""
    return refused(
        f"{name} is a sparse file.",
        "A context must hold what it says it holds: pack it without --sparse.",
    )
