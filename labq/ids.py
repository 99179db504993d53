"""Job ids: ``1042``, and ``1042.3`` for a task of an array.

Numbers count up for the whole lab (one Redis counter), so that an id can be said aloud.
"""

from __future__ import annotations

import re
import zlib

from labq.errors import BadInputError

_ID = re.compile(r"^(\d{1,12})(?:\.(\d{1,7}))?\Z", re.ASCII)
_ARRAY_PART = re.compile(r"^(\d{1,7})(?:-(\d{1,7})(?::(\d{1,7}))?)?\Z", re.ASCII)
#: One request may make this many jobs.
MAX_ARRAY = 10_000


def check_job_id(text: str) -> str:
    """Return ``text`` when it has the form of a job's or an array's id.

    Raises:
        BadInputError: when it has not.
    """
    if not _ID.match(text):
        raise BadInputError(f"{text!r} is not a job id", "ids look like 1042 or 1042.3: labq ls")
    return text


def sort_key(job_id: str) -> tuple[int, int]:
    """Return the key by which ids sort in the order in which they were made."""
    number, _, index = job_id.partition(".")
    return int(number), int(index or -1)


def default_seed(job_id: str) -> int:
    """Return the ``LABQ_SEED`` of a job whose spec names none: the same in every attempt."""
    return zlib.crc32(job_id.encode()) & 0x7FFFFFFF


def parse_array(text: str) -> list[int]:
    """Return the indices of ``0-9``, ``1,5,7`` or ``0-100:10``, sorted, each once.

    Raises:
        BadInputError: when the text is no such list, is empty, or names over 10,000 indices.
    """
    found: set[int] = set()
    for part in str(text).split(","):
        match = _ARRAY_PART.match(part.strip())
        if match is None:
            raise BadInputError(f"array {text!r} is not legal", "write 0-9, 1,5,7 or 0-100:10")
        first, last = int(match[1]), int(match[2] or match[1])
        step = int(match[3] or 1)
        if last < first or step < 1:
            raise BadInputError(f"array {text!r}: {part!r} is empty", "write the smaller index first")
        if len(range(first, last + 1, step)) > MAX_ARRAY:
            raise BadInputError(f"array {text!r} names too many jobs", f"at most {MAX_ARRAY} in one array")
        found.update(range(first, last + 1, step))
    if len(found) > MAX_ARRAY:
        raise BadInputError(f"array {text!r} names {len(found)} jobs", f"at most {MAX_ARRAY} in one array")
    return sorted(found)


def format_array(indices: list[int]) -> str:
    """Return the text that :func:`parse_array` reads back to ``indices``."""
    parts: list[str] = []
    start = 0
    for end in range(1, len(indices) + 1):
        if end == len(indices) or indices[end] != indices[end - 1] + 1:
            first, last = indices[start], indices[end - 1]
            parts.append(str(first) if first == last else f"{first}-{last}")
            start = end
    return ",".join(parts)
