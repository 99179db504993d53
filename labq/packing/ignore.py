"""The rules of a `.dockerignore` file. Pure: it reads no file."""

from __future__ import annotations

import posixpath

from labq.packing.errors import PackingError, shown
from labq.packing.patterns import compile_pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What Go's strings.TrimSpace removes; str.strip() alone also removes U+001C to U+001F.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class Rule:
    """One line of the file, ready to match.

    Attributes:
        pattern: The cleaned pattern, without its `!`.
        negated: Whether the line began with `!`.
        test: True for a path that the pattern itself names.
    """

    __slots__ = ("negated", "pattern", "test")

    def __init__(self, pattern: str, *, negated: bool) -> None:
        self.pattern = pattern
        self.negated = negated
        self.test: Callable[[str], object] = compile_pattern(pattern)

    def may_match_beneath(self, parts: list[str]) -> bool:
        """Whether the pattern could name something beneath a directory.

        Args:
            parts: The directory's path, split at its slashes.

        Returns:
            False only if it certainly cannot.
        """
        mine = self.pattern.split("/")
        for own, part in zip(mine, parts, strict=False):
            if "**" in own or any(c in own for c in "[]\\^"):
                return True  # may match across slashes
            if "*" in own or "?" in own:
                if not compile_pattern(own)(part):
                    return False
            elif own != part:
                return False
        return len(mine) > len(parts)


class IgnoreRules:
    """What a `.dockerignore` leaves out, by the rules of Docker.

    The last line that matches a path or a directory above it decides; `!` puts it back. As in
    Docker there are no patterns for directories only, and a `!` line that names a directory
    does not undo an earlier line that names something inside it.

    Args:
        lines: The lines of the file, without or with their line ends.
        always: Paths that are sent whatever the rules say (the Dockerfile, the ignore file).
        source: The file's name, for messages.
        before: Lines that count as if they stood before the file's.

    Raises:
        PackingError: If Docker would refuse a line; the message quotes it.
    """

    def __init__(
        self,
        lines: Iterable[str] = (),
        always: Iterable[str] = (),
        source: str = ".dockerignore",
        *,
        before: Iterable[str] = (),
    ) -> None:
        self._always = frozenset(posixpath.normpath(path) for path in always)
        self._rules: list[Rule] = [Rule(line, negated=False) for line in before]
        for number, line in enumerate(lines, 1):
            text = line.removeprefix("\ufeff") if number == 1 else line
            rule = _parse(text, f"Line {number} of {shown(source)}")
            if rule is not None:
                self._rules.append(rule)
        self._numbered = [(1 << i, rule) for i, rule in enumerate(self._rules)]
        self._exceptions = [rule for rule in self._rules if rule.negated]

    def __len__(self) -> int:
        return len(self._rules)

    def match(self, relpath: str, parent: int = 0) -> tuple[bool, int]:
        """Judge one path, given what was found for the directory that holds it.

        Args:
            relpath: The path from the context's root, separated by slashes.
            parent: The second result of this method for the directory of relpath; 0 at the top.

        Returns:
            Whether the path is left out, and the set of rules that matched, as bits.
        """
        left_out, matched = False, 0
        for bit, rule in self._numbered:
            if not parent & bit and (rule.negated != left_out or not rule.test(relpath)):
                continue
            matched |= bit
            left_out = not rule.negated
        return left_out and relpath not in self._always, matched

    def excludes(self, relpath: str, is_dir: bool = False) -> bool:
        """Whether a path is left out of the context.

        Args:
            relpath: The path from the context's root, separated by slashes.
            is_dir: Whether it is a directory. Docker's rules do not ask; an excluded directory
                is still sent, empty, when a `!` line puts back something beneath it.

        Returns:
            True if the path is left out.
        """
        del is_dir
        parts = posixpath.normpath(relpath).split("/")
        left_out, matched = False, 0
        for depth in range(1, len(parts) + 1):
            left_out, matched = self.match("/".join(parts[:depth]), matched)
        return left_out

    def can_prune(self, relpath: str) -> bool:
        """Whether an excluded directory need not be looked into.

        Args:
            relpath: An excluded directory's path from the context's root.

        Returns:
            True if no `!` line and no path that is always sent lies beneath it.
        """
        if any(path.startswith(relpath + "/") for path in self._always):
            return False
        parts = relpath.split("/")
        return not any(rule.may_match_beneath(parts) for rule in self._exceptions)


def clean(path: str) -> str:
    """Go's `filepath.Clean`: no `.`, no `..` that can be resolved, no double slashes."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _parse(line: str, where: str) -> Rule | None:
    if line.startswith("#"):
        return None
    text = line.strip(_SPACE)
    if not text:
        return None
    mark = "!" if text.startswith("!") else ""
    pattern = text.removeprefix("!").strip(_SPACE)
    pattern = clean(pattern) if pattern else ""
    if len(pattern) > 1:
        pattern = pattern.removeprefix("/")
    pattern = clean(mark + pattern)  # Docker cleans twice and looks for the ! only now
    negated = pattern.startswith("!")
    pattern = pattern.removeprefix("!")
    if negated and not pattern:
        raise PackingError(
            f"{where} is {shown(text)}, an exception that names nothing.",
            "Write the path to put back after the !, for example !README.md, or remove the line.",
        )
    try:
        return Rule(pattern, negated=negated)
    except ValueError as error:
        raise PackingError(
            f"{where} is {shown(text)}, which Docker cannot match: {error}.",
            "Legal are names with *, ?, ** and [a-z], separated by /; a backslash before one of "
            "*?[]\\ takes it literally. Correct the line.",
        ) from None
