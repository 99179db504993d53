"""The one error of packing and of checking a packed context."""

from __future__ import annotations

_LONGEST = 200  # characters of a name that a message shows


class PackingError(Exception):
    """A context that cannot be packed, or must not be accepted.

    Attributes:
        what: What is wrong, as a sentence that quotes the offending input.
        next: What is legal and what to do now, as one or more sentences.
    """

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what, next_step)
        self.what = what
        self.next = next_step

    def __str__(self) -> str:
        return f"{self.what} {self.next}"


def shown(name: bytes | str) -> str:
    """Quote a file name so that it is safe and readable on a terminal.

    Args:
        name: A name of any length; bytes need not be UTF-8.

    Returns:
        The name in double quotes, control characters escaped, its middle cut out beyond 200
        characters.
    """
    raw = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
    if len(raw) > 4 * _LONGEST:  # a hostile name may be megabytes
        raw = raw[: 2 * _LONGEST] + b"..." + raw[-2 * _LONGEST :]
    text = raw.decode("utf-8", "backslashreplace")
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 2 :]}"
    return f'"{text}"'
