r"""One `.dockerignore` pattern, matched the way Docker's `moby/patternmatcher` matches it.

Docker turns a pattern into a Go regular expression, oddities included: `[*]` does not mean a
star, `\d` means a digit, and a class such as `[^a]` may match `/`. This module builds the same
expression and then rewrites it for Python, so that nothing is sent that Docker would have left
out. The few expressions that Python cannot say are refused by name, never read differently.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

EXACT, PREFIX, SUFFIX, REGEX = "exact", "prefix", "suffix", "regex"
_ESCAPED = frozenset(".+()|{}$")
_POSIX = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t\ ",
    "cntrl": r"\x00-\x1f\x7f", "digit": "0-9", "graph": "!-~", "lower": "a-z",
    "print": r"\ -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r\ ", "upper": "A-Z",
    "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip


def check_syntax(pattern: str) -> None:
    """Apply the syntax check of Go's `filepath.Match`, which Docker runs on every pattern.

    Args:
        pattern: A cleaned pattern without its `!`.

    Raises:
        ValueError: If Docker would refuse the pattern; the message says why.
    """
    pos, end = 0, len(pattern)
    while pos < end:
        ch, pos = pattern[pos], pos + 1
        if ch == "\\":
            if pos == end:
                raise ValueError("it ends in a backslash that escapes nothing")
            pos += 1
        elif ch == "[":
            pos = _class_end(pattern, pos)


def _class_end(pattern: str, pos: int) -> int:
    """The position after the `]` of the class whose `[` precedes pos."""
    if pattern.startswith("^", pos):
        pos += 1
    count = 0
    while not (count and pattern.startswith("]", pos)):
        pos = _class_char(pattern, pos)
        if pattern.startswith("-", pos):
            pos = _class_char(pattern, pos + 1)
        count += 1
    return pos + 1


def _class_char(pattern: str, pos: int) -> int:
    """The position after one, perhaps escaped, character of a class."""
    if pattern[pos : pos + 1] in ("-", "]"):
        raise ValueError(f"{pattern[pos]!r} stands where a character of [...] is expected")
    pos += 2 if pattern.startswith("\\", pos) else 1
    if pos >= len(pattern):
        raise ValueError("it has a [ without its ]")
    return pos


def go_regex(pattern: str) -> tuple[str, str]:
    """Classify a pattern and write the regular expression that Docker writes for it.

    Args:
        pattern: A cleaned pattern without its `!`.

    Returns:
        How it is matched (`exact`, `prefix`, `suffix` or `regex`), and the expression without
        its anchors; the expression only counts for `regex`.
    """
    out: list[str] = []
    kind, pos, end = EXACT, 0, len(pattern)
    while pos < end:
        start, ch, pos = pos, pattern[pos], pos + 1
        if ch == "*" and pattern.startswith("*", pos):
            pos += 2 if pattern.startswith("/", pos + 1) else 1
            if pos < end:
                out.append("(.*/)?")
                kind = REGEX
            elif kind == EXACT:
                kind = PREFIX
            else:
                out.append(".*")
                kind = REGEX
            if start == 0:
                kind = SUFFIX
        elif ch in "*?":
            out.append("[^/]*" if ch == "*" else "[^/]")
            kind = REGEX
        elif ch in _ESCAPED:
            out.append("\\" + ch)
        elif ch == "\\":
            out.append(ch + pattern[pos])
            kind, pos = REGEX, pos + 1
        else:
            out.append(ch)
            kind = REGEX if ch in "[]" else kind
    return kind, "".join(out)


def python_regex(expression: str) -> str:
    """Rewrite a Go expression of `go_regex` for Python's `re` (with `re.ASCII`).

    Args:
        expression: The expression, without anchors.

    Returns:
        The expression for `fullmatch`.

    Raises:
        ValueError: If Go would refuse it, or if Python has no equal for it.
    """
    out: list[str] = []
    pos, end = 0, len(expression)
    while pos < end:
        ch, pos = expression[pos], pos + 1
        if ch == "\\":
            out.append(_escape(expression[pos], "dDwWsSbBAzafnrtv"))
            pos += 1
        elif ch == "[":
            text, pos = _class(expression, pos)
            out.append(text)
        else:
            out.append("\\]" if ch == "]" else ch)
    return "".join(out)


def _escape(ch: str, legal: str) -> str:
    if ch in legal:
        return "\\Z" if ch == "z" else "\\" + ch
    if ch.isalnum() or not ch.isascii():
        raise ValueError(f"Docker reads \\{ch} as a regular expression, not as the character {ch}")
    return "\\" + ch


def _class(expression: str, pos: int) -> tuple[str, int]:
    """Rewrite the class whose `[` precedes pos; also the position after its `]`."""
    out, first = ["["], True
    if expression.startswith("^", pos):
        out, pos = ["[^"], pos + 1
    while pos < len(expression):
        ch = expression[pos]
        if ch == "]" and not first:
            return "".join(out) + "]", pos + 1
        first, name_end = False, expression.find(":]", pos + 2)
        if expression.startswith("[:", pos) and name_end >= 0:
            name = expression[pos + 2 : name_end]
            if name not in _POSIX:
                raise ValueError(f"[:{name}:] is no class of characters")
            out.append(_POSIX[name])
            pos = name_end + 2
        elif ch == "\\":
            out.append(_escape(expression[pos + 1], "dDwWsSafnrtv"))
            pos += 2
        else:
            out.append("\\" + ch if ch in "[]^&~|" else ch)
            pos += 1
    raise ValueError("it has a [ without its ]")


def compile_pattern(pattern: str) -> Callable[[str], object]:
    """Compile a cleaned pattern into a test of one slash-separated relative path.

    Args:
        pattern: The pattern, cleaned, without its `!`.

    Returns:
        A function that is true for what the pattern itself names, not for what lies beneath.

    Raises:
        ValueError: If Docker would refuse the pattern; the message says why.
    """
    check_syntax(pattern)
    kind, expression = go_regex(pattern)
    if kind == EXACT:
        return pattern.__eq__
    if kind == PREFIX:
        start = pattern[:-2]
        return lambda path: path.startswith(start)
    if kind == SUFFIX:
        tail = pattern[2:]
        bare = tail[1:] if tail.startswith("/") else None
        return lambda path: path.endswith(tail) or path == bare
    import re

    while "(.*/)?(.*/)?" in expression:  # the same set of paths, without the backtracking
        expression = expression.replace("(.*/)?(.*/)?", "(.*/)?")
    try:
        return re.compile(python_regex(expression), re.ASCII).fullmatch
    except re.error as error:
        raise ValueError(error.msg) from None
