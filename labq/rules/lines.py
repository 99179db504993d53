"""In which line of a TOML file each key stands. Pure.

``tomllib`` says what a file means, not where; who wrote 80 lines of rules wants to know where. This reads only files that
tomllib has read already, so that it need not know what is legal.
"""

from __future__ import annotations

import re
from bisect import bisect_left

#: keys from the top; an index for each item of a list
Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
#: Parts of a key that is told with its line; a legal one has four.
DEEPEST = 8
_PLAIN = re.compile(r"[^,\]}#\n]*")
#: a string of one line, and one of many; what follows a backslash never ends a basic one
_BASIC = re.compile(r'"(?:[^"\\]|\\.)*"')
_LITERAL = re.compile(r"'[^']*'")
_LONG_BASIC = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:""?(?!"))?', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''.*?'''(?:''?(?!'))?", re.DOTALL)


def line_numbers(text: str) -> dict[Path, int]:
    """Return the line, from 1, in which each key and each item of a list of a legal TOML text stands."""
    scan = _Scan(text.replace("\r\n", "\n"))
    scan.run()
    return scan.lines


class _Scan:
    """One walk through the text."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self.lines: dict[Path, int] = {}
        #: path of each list of tables -> how many it has so far
        self._tables: dict[Path, int] = {}

    def run(self) -> None:
        """Note the lines of all keys."""
        prefix: Path = ()
        self._take(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                prefix = self._header()
            else:
                self._pair(prefix)
            self._take(_BLANK)

    def _header(self) -> Path:
        line, many = self._line(), self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        *parents, last = self._key()
        self._at += 2 if many else 1
        path: Path = (*self._resolved(parents), last)
        if many:
            number = self._tables.get(path, 0)
            self._tables[path] = number + 1
            self.lines.setdefault(path, line)
            path = (*path, number)
        elif path in self._tables:
            path = (*path, self._tables[path] - 1)
        self._note(path, line)
        return path

    def _resolved(self, parts: list[str]) -> Path:
        """Return the path with the number of the last table wherever it goes through a list of tables."""
        path: Path = ()
        for part in parts:
            path = (*path, part)
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        return path

    def _pair(self, prefix: Path) -> None:
        line = self._line()
        path = (*prefix, *self._key())
        self._take(_SPACE)
        self._at += 1  # the equals sign
        self._take(_SPACE)
        self._note(path, line)
        self._value(path)

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._take(_SPACE)
            first = self._text[self._at]
            if first in "\"'":
                parts.append(_unquoted(self._take(_BASIC if first == '"' else _LITERAL)))
            else:
                parts.append(self._take(_BARE))
            self._take(_SPACE)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _value(self, path: Path) -> None:
        text, at = self._text, self._at
        if text.startswith('"""', at):
            self._take(_LONG_BASIC)
        elif text.startswith("'''", at):
            self._take(_LONG_LITERAL)
        elif text[at] == '"':
            self._take(_BASIC)
        elif text[at] == "'":
            self._take(_LITERAL)
        elif text[at] == "[":
            self._items(path)
        elif text[at] == "{":
            self._inline(path)
        else:
            self._take(_PLAIN)

    def _items(self, path: Path) -> None:
        self._at += 1
        number = 0
        self._take(_BLANK)
        while self._text[self._at] != "]":
            self._note((*path, number), self._line())
            self._value((*path, number))
            number += 1
            self._comma()
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        self._take(_BLANK)
        while self._text[self._at] != "}":
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._take(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1
            self._take(_BLANK)

    def _note(self, path: Path, line: int) -> None:
        for end in range(1, min(len(path), DEEPEST) + 1):
            self.lines.setdefault(path[:end], line)

    def _line(self) -> int:
        return bisect_left(self._ends, self._at) + 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:  # tomllib read it, so this cannot be; an endless loop would be worse than an error
            raise ValueError(f"line {self._line()} is not understood")
        self._at = match.end()
        return match[0]


def _unquoted(key: str) -> str:
    import tomllib

    (name,) = tomllib.loads(f"{key} = 0")
    return name
