"""Columns of text on a terminal: wide characters count twice, control characters are made visible."""

from __future__ import annotations

from collections.abc import Sequence

#: name -> SGR code
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "grey": "90", "bold": "1"}


def clean(text: str) -> str:
    """Return ``text`` on one line and harmless: what a job wrote must not steer the terminal."""
    if text.isprintable():
        return text
    spaced = text.replace("\n", " ").replace("\t", " ").replace("\r", " ")
    return "".join(char if char.isprintable() else "�" for char in spaced)


def display_width(text: str) -> int:
    """Return the columns that ``text`` takes.

    >>> display_width("abc"), display_width("実験1")
    (3, 5)
    """
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(char) or char in "\u200d\ufe0f" else 2 if east_asian_width(char) in "WF" else 1
        for char in text
    )


def clip(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` columns, with ``…`` where something was cut.

    >>> clip("abcdef", 4), clip("実験実験", 5)
    ('abc…', '実験…')
    """
    if display_width(text) <= width:
        return text
    if width < 1:
        return ""
    kept, used = [], 0
    for char in text:
        size = display_width(char)
        if used + size > width - 1:
            break
        kept.append(char)
        used += size
    return "".join(kept) + "…"


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return ``text`` filled with spaces to ``width`` columns."""
    space = " " * max(0, width - display_width(text))
    return space + text if right else text + space


def paint(text: str, colour: str, on: bool) -> str:
    """Return ``text`` in a colour when ``on``; "" = none."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if on and colour and text else text


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    shrink: Sequence[int] = (),
    drop: Sequence[int] = (),
    colour_of: Sequence[Sequence[str]] | None = None,
    numbers: Sequence[int] = (),
) -> str:
    """Return a table that fits the terminal.

    Args:
        head: column titles.
        rows: cells, cleaned.
        width: columns of the terminal.
        shrink: columns that give way, first one first; each keeps 8 characters.
        drop: columns that are left out when that is not enough, first one first.
        colour_of: a colour for each cell ("" = none); None = no colours.
        numbers: columns set flush right.
    """
    sizes = [
        max(display_width(head[i]), *(display_width(row[i]) for row in rows), 1) if rows else len(head[i])
        for i in range(len(head))
    ]
    shown = list(range(len(head)))
    for column in shrink:
        over = sum(sizes) + 2 * (len(sizes) - 1) - width
        if over > 0:
            sizes[column] = max(min(8, sizes[column]), sizes[column] - over)
    for column in drop:
        if sum(sizes[i] for i in shown) + 2 * (len(shown) - 1) > width:
            shown.remove(column)
    lines = []
    for number, row in enumerate([head, *rows]):
        cells = []
        for i in shown:
            cell = pad(clip(row[i], sizes[i]), sizes[i], right=i in numbers)
            if i == shown[-1]:
                cell = cell.rstrip()
            colour = "" if colour_of is None else "grey" if number == 0 else colour_of[number - 1][i]
            cells.append(paint(cell, colour, colour_of is not None))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"
