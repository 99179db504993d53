"""From the text of a rules' file to what it says; all its mistakes are told at once, each with its line. Pure but for ``load``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labq.errors import BadInputError, closest
from labq.rules.keys import ANY, EACH, KEYS, Key
from labq.rules.lines import DEEPEST, Path, line_numbers
from labq.rules.values import quoted

if TYPE_CHECKING:
    from pathlib import Path as FilePath

#: Of the file in the data directory, unless LABQ_RULES_FILE names another.
USUAL_NAME = "rules.toml"
#: Bytes; a file of rules is a page or two.
LARGEST = 2**20
#: More mistakes than this are counted, not told.
TOLD = 20
#: Parts of a dotted key; a legal one has four.
MOST_PARTS = 100
#: Strings and remarks: dots in them part nothing.
_ASIDE = re.compile(r""""[^"\n]*"|'[^'\n]*'|#[^\n]*""")
#: A number as long as none may be.
_DIGITS = re.compile(r"(?:\d_?){1000}")
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)\Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as it was said."""

    key: Key
    value: Any
    line: int


@dataclass(frozen=True, slots=True)
class Said:
    """What a file says, checked."""

    #: of the file, for people; "" = there is none
    name: str = ""
    entries: Mapping[Path, Entry] = field(default_factory=dict)
    #: the file itself
    text: str = field(default="", repr=False)

    def value(self, *path: str | int) -> Any:
        """Return the value of a key; None when it is not said."""
        entry = self.entries.get(path)
        return None if entry is None else entry.value

    def below(self, *path: str | int) -> list[str | int]:
        """Return the names, or the numbers, of what stands below ``path``, in the order of the file."""
        size = len(path)
        found = (entry[size] for entry in self.entries if entry[:size] == path and len(entry) > size)
        return list(dict.fromkeys(found))

    def texts(self) -> dict[str, str]:
        """Return by full name, ``groups.vision.share``, each value as one writes it."""
        return {self._full_name(path): row.key.write(row.value) for path, row in self.entries.items()}

    def lines(self) -> dict[str, int]:
        """Return by full name the line in which it is said."""
        return {self._full_name(path): row.line for path, row in self.entries.items()}

    def _full_name(self, path: Path) -> str:
        parts = [
            self.value(*path[:at], part, "name") if isinstance(part, int) else part for at, part in enumerate(path)
        ]  # fmt: skip
        return ".".join(str(part) for part in parts)


@dataclass(frozen=True, slots=True)
class _Mistake:
    line: int
    what: str
    next: str


def load(path: FilePath) -> Said:
    """Return what a file says.

    Raises:
        BadInputError: it cannot be read, or :func:`read` refuses it.
    """
    try:
        with path.open("rb") as handle:
            body = handle.read(LARGEST + 1)
    except OSError as error:
        raise BadInputError(
            f"{path}: {error.strerror}", "name a file that this program's user may read"
        ) from None
    if len(body) > LARGEST:
        raise BadInputError(f"{path} is larger than 1 MiB", "rules are a page of TOML: is it another file?")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise BadInputError(f"{path}:{line}: it is not UTF-8", "save it as UTF-8") from None
    return read(text, str(path))


def read(text: str, name: str = USUAL_NAME) -> Said:
    """Return what a text says.

    Args:
        text: TOML.
        name: of the file, for messages.

    Raises:
        BadInputError: naming every mistake with its line; nothing of such a text is to be used.
    """
    import tomllib

    for number, line in enumerate(_ASIDE.sub("", text).split("\n"), 1):
        if (
            line.count(".") > MOST_PARTS
        ):  # tomllib takes the square of their number: for a file of these, hours
            raise _refused(
                [_Mistake(number, "a key has too many parts", "rules are a few plain tables")], name
            )
    try:
        body = tomllib.loads(text)
        lines = line_numbers(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(str(error), text, name) from None
    except RecursionError:
        raise BadInputError(f"{name}: it is nested too deeply", "rules are a few plain tables") from None
    except ValueError:  # Python reads no number of more than 4300 digits, and tomllib says just that
        body, lines = {}, {}
        huge = [_first_huge(text)]
    else:
        huge = [lines.get(path, 1) for path in _huge(body)]
    if huge:
        raise _refused(
            [_Mistake(line, "a number is out of range", "write a smaller one") for line in huge], name
        )
    walk = _Walk(lines)
    walk.table(body, (), [(key, key.pattern) for key in KEYS])
    walk.mistakes += _together(Said(name, walk.entries))
    if walk.mistakes:
        raise _refused(sorted(walk.mistakes, key=lambda one: one.line), name)
    return Said(name, walk.entries, text)


def _huge(body: Any) -> Iterator[Path]:
    """Yield where whole numbers stand that no reader could even print; not by recursion, for it may be deep."""
    left: list[tuple[Path, Any]] = [((), body)]
    while left:
        path, value = left.pop()
        if isinstance(value, dict):
            left += [((*path, word)[:DEEPEST], below) for word, below in value.items()]
        elif isinstance(value, list):
            left += [((*path, number)[:DEEPEST], below) for number, below in enumerate(value)]
        elif isinstance(value, int) and value.bit_length() > 64:
            yield path


def _first_huge(text: str) -> int:
    """Return the line of the first number that Python does not read."""
    found = _DIGITS.search(text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


class _Walk:
    """Compares a document with the table, from the top."""

    def __init__(self, lines: Mapping[Path, int]) -> None:
        self._lines = lines
        self.entries: dict[Path, Entry] = {}
        self.mistakes: list[_Mistake] = []

    def table(self, body: Mapping[str, Any], path: Path, keys: Sequence[tuple[Key, tuple[str, ...]]]) -> None:
        """Read a table of which ``keys`` say what may stand in it: each with the rest of its pattern."""
        for word, raw in body.items():
            here = (*path, word)
            fitting = [(key, rest[1:]) for key, rest in keys if rest[0] == word]
            if not fitting:
                fitting = [(key, rest[1:]) for key, rest in keys if rest[0] == ANY]
                if not fitting:
                    self._unknown(here, [rest[0] for _, rest in keys])
                    continue
                try:
                    fitting[0][0].name(word)
                except BadInputError as error:
                    self._say(here, f"{_where(path)}: {error.what}", error.next)
                    continue
            self._value(raw, here, fitting)
        for key, rest in keys:
            if key.needed and len(rest) == 1 and rest[0] not in body and path:
                self._say(path, f"{_where(path)} has no {rest[0]}", f"write {rest[0]} = {key.form}")

    def _value(self, raw: Any, path: Path, keys: Sequence[tuple[Key, tuple[str, ...]]]) -> None:
        key, rest = keys[0]
        if not rest:
            try:
                self.entries[path] = Entry(key, key.read(raw), self._line(path))
            except BadInputError as error:
                self._say(
                    path, f"{_where(path[:-1])} {path[-1]}: {error.what}", error.next or f"write {key.form}"
                )
        elif rest[0] == EACH:
            if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
                self._say(path, f"{path[-1]} = {quoted(raw)} is no list of tables", f"write {key.section}")
                return
            for number, item in enumerate(raw):
                self.table(item, (*path, number), [(key, rest[1:]) for key, rest in keys])
        elif isinstance(raw, dict):
            self.table(raw, path, keys)
        else:
            self._say(path, f"{'.'.join(map(str, path))} = {quoted(raw)} is no table", f"write {key.section}")

    def _unknown(self, path: Path, legal: Sequence[str]) -> None:
        names = list(dict.fromkeys(legal))
        near = closest(str(path[-1]), names)
        hint = f"did you mean {near}? " if near else ""
        thing = "key" if len(path) > 1 else "section"
        self._say(
            path, f"{_where(path[:-1])} has no {thing} {quoted(path[-1])}", f"{hint}legal: {', '.join(names)}"
        )

    def _say(self, path: Path, what: str, next: str) -> None:  # noqa: A002
        self.mistakes.append(_Mistake(self._line(path), what, next))

    def _line(self, path: Path) -> int:
        return self._lines.get(path, 1)


def _together(said: Said) -> Iterator[_Mistake]:
    """Yield mistakes that no key has by itself."""
    of: dict[str, str] = {}
    for group in said.below("groups"):
        entry = said.entries.get(("groups", group, "members"))
        for person in entry.value if entry else ():
            if person in of:
                what = f"[groups.{group}] members: {person} is in the group {of[person]}, too"
                yield _Mistake(
                    entry.line if entry else 1, what, "leave them in one: their use is counted in one group"
                )
            of.setdefault(person, str(group))
    groups = [str(group) for group in said.below("groups")]
    for path, entry in said.entries.items():
        if path[-1] == "for" or path[0] == "classes":
            for who in entry.value:
                if who.startswith("@") and who[1:] not in groups:
                    near = closest(who[1:], groups)
                    hint = f"did you mean @{near}? " if near else ""
                    next = f"{hint}groups of this file: {', '.join(groups) or 'none'}"  # noqa: A001
                    yield _Mistake(
                        entry.line,
                        f"{_where(path[:-1])} {path[-1]}: there is no group {quoted(who[1:])}",
                        next,
                    )
    yield from _windows(said)


def _windows(said: Said) -> Iterator[_Mistake]:
    seen: set[str] = set()
    for number in said.below("reservation"):
        name, begin, until = (
            said.entries.get(("reservation", number, key)) for key in ("name", "from", "until")
        )
        if name is not None and name.value in seen:
            yield _Mistake(
                name.line, f"two reservations are called {quoted(name.value)}", "call one otherwise"
            )
        seen.add(name.value if name is not None else "")
        if begin is not None and until is not None and until.value <= begin.value:
            yield _Mistake(
                until.line, "[[reservation]] until is not after from", "write a later moment, or swap them"
            )


def _where(path: Path) -> str:
    """Return the head of a table as it stands in the file."""
    names = ".".join(str(part) for part in path if isinstance(part, str))
    if not names:
        return "the file"
    return f"[[{names}]]" if any(isinstance(part, int) for part in path) else f"[{names}]"


def _not_toml(said: str, text: str, name: str) -> BadInputError:
    at = _AT.search(said)
    lines = text.splitlines()
    line = int(at[1]) if at and at[1] else max(1, len(lines))
    stands = lines[line - 1].strip() if line <= len(lines) else ""
    what = f"{name}:{line}: {_AT.sub('', said)}" + (f": {quoted(stands)}" if stands else "")
    return BadInputError(what, "mend the line; the file is TOML: [section], then key = value", line=line)


def _refused(mistakes: Sequence[_Mistake], name: str) -> BadInputError:
    if len(mistakes) == 1:
        (one,) = mistakes
        return BadInputError(f"{name}:{one.line}: {one.what}", one.next, line=one.line)
    told = [f"\n  {name}:{one.line}: {one.what}\n    {one.next}" for one in mistakes[:TOLD]]
    more = f"\n  and {len(mistakes) - TOLD} more" if len(mistakes) > TOLD else ""
    return BadInputError(
        f"{name} has {len(mistakes)} mistakes:{''.join(told)}{more}",
        "mend them all: a file with mistakes changes nothing",
        line=mistakes[0].line,
    )
