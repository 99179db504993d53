"""Bytes and durations: read what people write, print it back.

Sizes are binary multiples (``1GB`` = ``1GiB`` = 2**30 bytes), as Docker's own flags read them.
"""

from __future__ import annotations

import re

from labq.about import about_duration as about_duration
from labq.errors import BadInputError

_BYTE_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_BYTES = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*$", re.IGNORECASE)
_DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"^(?:\d+(?:\.\d+)?[smhdw])+$", re.IGNORECASE)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.IGNORECASE)
_CLOCK = re.compile(r"^(\d{1,9}):([0-5]\d):([0-5]\d)$")

#: No machine has this much: a larger number is a slip of the finger.
MAX_BYTES = 2**60
#: Ten years; a larger time limit is a slip of the finger.
MAX_SECONDS = 10 * 365 * 86400


def parse_bytes(text: str | int, what: str = "size") -> int:
    """Return the number of bytes in ``text``, such as ``24GB``, ``512m`` or ``1.5GiB``.

    Raises:
        BadInputError: when the text is no size, is zero, negative or absurdly large.
    """
    match = None if isinstance(text, bool) else _BYTES.match(str(text))
    if match is None:
        raise BadInputError(
            f"{what} {text!r} is not a size",
            "write a number with a unit, such as 512MB, 24GB or 1.5TB (binary: 1GB = 2^30 bytes)",
        )
    amount = float(match[1]) * _BYTE_UNITS[match[2].lower()]
    if not 1 <= amount <= MAX_BYTES:  # before int(): 400 digits are infinity
        raise BadInputError(f"{what} {text!r} is out of range", "write a size from 1B to 2^60 bytes")
    return int(amount)


def format_bytes(value: int) -> str:
    """Return ``value`` bytes in the shortest form that :func:`parse_bytes` reads back exactly."""
    for unit in ("T", "G", "M", "K"):
        factor = _BYTE_UNITS[unit.lower()]
        if value >= factor and value % factor == 0:
            return f"{value // factor}{unit}B"
    return f"{value}B"


def about_bytes(value: float) -> str:
    """Return ``value`` bytes for people, rounded to three digits: ``23.6GB``."""
    for unit in ("T", "G", "M", "K"):
        factor = _BYTE_UNITS[unit.lower()]
        if value >= factor:
            shown = value / factor
            return f"{shown:.0f}{unit}B" if shown >= 100 else f"{shown:.3g}{unit}B"
    return f"{value:.0f}B"


def parse_duration(text: str | int | float, what: str = "duration") -> float:
    """Return the seconds in ``text``: ``90s``, ``30m``, ``6h``, ``1d12h``, ``1:30:00`` or a number.

    Raises:
        BadInputError: when the text is no duration, is zero, negative or longer than ten years.
    """
    raw = str(text).strip()
    seconds: float | None = None
    if isinstance(text, bool):
        pass
    elif _DURATION.match(raw):
        parts = _DURATION_PART.findall(raw)
        seconds = sum(float(n) * _DURATION_UNITS[unit.lower()] for n, unit in parts)
    elif clock := _CLOCK.match(raw):
        seconds = int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3])
    elif re.fullmatch(r"\d+(\.\d+)?", raw):
        seconds = float(raw)
    if seconds is None:
        raise BadInputError(
            f"{what} {text!r} is not a duration",
            "write it like 90s, 30m, 6h, 1d12h, 1:30:00, or a number of seconds",
        )
    seconds = round(seconds, 3) if seconds < MAX_SECONDS * 2 else seconds
    if not 0 < seconds <= MAX_SECONDS:
        raise BadInputError(f"{what} {text!r} is out of range", "write more than 0s, at most 10 years")
    return seconds


def format_duration(seconds: float) -> str:
    """Return ``seconds`` in the form that :func:`parse_duration` reads back: ``1d12h``, ``90.5s``."""
    if seconds != int(seconds):
        return f"{seconds:.3f}".rstrip("0") + "s"
    left, out = int(seconds), ""
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _DURATION_UNITS[unit])
        if count:
            out += f"{count}{unit}"
    return out or "0s"
