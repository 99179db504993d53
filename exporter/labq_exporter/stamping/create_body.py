"""Puts labels into the JSON that describes a container, and leaves every other byte of it alone. Pure.

Read like Go's encoding/json, by which engines read it: a field's name matches in any case, a map that comes twice is
merged, null empties it, and what stands behind the first value is not looked at. The text is cut and joined, never
parsed and written again: numbers, order and fields that labq does not know stay what they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from labq.holding.seal import STAMP_LABEL

_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb'[^ \t\r\n,:"{}\[\]]++')
_NESTED = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["{}\[\]]', re.DOTALL)


class _NotJsonError(ValueError):
    """The engine will not be able to read it either."""


@dataclass(frozen=True, slots=True)
class _Member:
    """``"key": value`` in the text, by its places."""

    key: str
    start: int
    value: int
    end: int


def _after_space(text: bytes, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _after_string(text: bytes, at: int) -> int:
    found = _STRING.match(text, at)
    if found is None:
        raise _NotJsonError
    return found.end()


def _after_value(text: bytes, at: int) -> int:
    first = text[at : at + 1]
    if first == b'"':
        return _after_string(text, at)
    if first in {b"{", b"["}:
        depth = 0
        for found in _NESTED.finditer(text, at):
            token = found[0]
            if token == b'"':
                break  # a string without an end
            if token[:1] != b'"':
                depth += 1 if token in b"{[" else -1
                if depth == 0:
                    return found.end()
        raise _NotJsonError
    scalar = _SCALAR.match(text, at)
    if scalar is None:
        raise _NotJsonError
    return scalar.end()


def _members(text: bytes, at: int) -> list[_Member]:
    """Return the members of the object that begins at ``at``."""
    found: list[_Member] = []
    at = _after_space(text, at + 1)
    if text[at : at + 1] == b"}":
        return found
    while True:
        start = at
        at = _after_string(text, start)
        try:
            key = str(json.loads(text[start:at].decode("utf-8", "replace"), strict=False))
        except ValueError:
            raise _NotJsonError from None
        at = _after_space(text, at)
        if text[at : at + 1] != b":":
            raise _NotJsonError
        value = _after_space(text, at + 1)
        end = _after_value(text, value)
        found.append(_Member(key, start, value, end))
        at = _after_space(text, end)
        if text[at : at + 1] == b"}":
            return found
        if text[at : at + 1] != b",":
            raise _NotJsonError
        at = _after_space(text, at + 1)


def relabel(text: bytes, labels: Mapping[str, str]) -> bytes:
    """Return the description of a container with ``labels`` set, and with no other owner stamp.

    Args:
        text: The body of a create.
        labels: Win over labels of the same name; empty = only take away a stamp that the client wrote.

    Returns:
        ``text`` itself when it is not a JSON object whose labels are an object or null: the engine then says so.
    """
    start = _after_space(text, 0)
    if text[start : start + 1] != b"{":
        return text
    try:
        members = _members(text, start)
        ours = [member for member in members if member.key.casefold() == "labels"]
        kept: list[bytes] = []
        dropped = False
        for member in ours:
            value = text[member.value : member.end]
            if value == b"null":
                kept.clear()
            elif value[:1] != b"{":
                return text
            else:
                for label in _members(text, member.value):
                    if label.key == STAMP_LABEL or label.key in labels:
                        dropped = True
                    else:
                        kept.append(text[label.start : label.end])
    except _NotJsonError:
        return text
    if not labels and not dropped:
        return text
    kept += [json.dumps({key: value})[1:-1].encode() for key, value in labels.items()]
    written = b"{" + b",".join(kept) + b"}"
    if not ours:
        comma = b"," if members else b""
        return text[: start + 1] + b'"Labels":' + written + comma + text[start + 1 :]
    if len(ours) == 1:
        return text[: ours[0].value] + written + text[ours[0].end :]
    rest = [text[member.start : member.end] for member in members if member not in ours]
    inside = b",".join([*rest, b'"Labels":' + written])
    return text[: start + 1] + inside + text[members[-1].end :]
