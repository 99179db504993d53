"""A message as Slack's blocks. Pure.

What people wrote (names, logs, verdicts) stands only in ``plain_text`` and preformatted elements, where Slack knows no
markup, mentions or emoji; and ``& < >`` are escaped everywhere, so that ``<!channel>`` is text in whatever reads it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from labq_scheduler.notify.message import Message

#: Slack's limits: characters of a header, a section's text, a field; fields of a section; blocks of a message.
HEADER, SECTION, FIELD, FIELDS, BLOCKS = 150, 3000, 2000, 10, 50
#: Of a URL, and of the text that notifications show.
URL, FALLBACK = 3000, 3000
Block = dict[str, Any]

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_BUTTONS = {"cancel": ("Cancel the job", "danger"), "keep": ("Keep it, I use it", "")}


def blocks(message: Message, *, buttons: bool) -> tuple[str, list[Block]]:
    """Return the text for notifications, and the blocks.

    Args:
        message: what is said.
        buttons: somebody listens to them (Socket Mode).
    """
    found: list[Block] = [{"type": "header", "text": _plain(message.headline, HEADER)}]
    if message.sentence:
        found.append({"type": "section", "text": _plain(message.sentence, SECTION)})
    if message.facts:
        fields = [_plain(f"{label}: {value}", FIELD) for label, value in message.facts[:FIELDS]]
        found.append({"type": "section", "fields": fields})
    if message.table:
        found.append(_preformatted(table_text(message.table)))
    if message.log:
        found.append(_preformatted("\n".join(message.log)))
    whom = f"For {message.whom}" if message.whom else ""
    below = "  ·  ".join(part for part in (whom, message.remark, message.hint) if part)
    if below:
        found.append({"type": "context", "elements": [_plain(below, SECTION)]})
    # Links, not buttons with a URL: Slack reports those, too, to the app, and complains where nobody listens.
    links = [(label, url) for label, url in message.links if len(url) <= URL]
    if links:
        found.append(_links(links))
    if buttons and message.buttons:
        found.append(
            {"type": "actions", "elements": [_button(action, job) for action, job in message.buttons]}
        )
    told = f"{message.headline}: {message.sentence}" if message.sentence else message.headline
    return escape(told, FALLBACK), found[:BLOCKS]


def escape(text: str, most: int) -> str:
    """Return the text as Slack wants it, without control characters, at most ``most`` characters when escaped.

    >>> escape("<!channel> a & b", 100)
    '&lt;!channel&gt; a &amp; b'
    >>> escape("a<b", 4)
    'a…'
    """
    pieces = [_ENTITIES.get(character, character) for character in clean(text)]
    if sum(map(len, pieces)) <= most:
        return "".join(pieces)
    left, out = most - 1, []
    for piece in pieces:  # an entity is never cut in two
        left -= len(piece)
        if left < 0:
            break
        out.append(piece)
    return "".join(out) + "…"


def clean(text: str) -> str:
    """Return the text without what moves a cursor, reverses a line or hides: only line ends and tabs are kept."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co"})


def table_text(rows: Sequence[Sequence[str]], most: int = 2400) -> str:
    """Return rows as columns of text, each cell on one line and cut, at most about ``most`` characters in all."""
    cells = [[" ".join(clean(cell).split())[:80] for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    lines, size = [], 0
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        size += len(line) + 1
        if size > most:
            lines.append("…")
            break
        lines.append(line)
    return "\n".join(lines)


def _plain(text: str, most: int) -> Block:
    # Slack refuses an empty text.
    return {"type": "plain_text", "text": escape(text, most) or "–", "emoji": False}


def _preformatted(text: str) -> Block:
    inner = [{"type": "text", "text": escape(text, SECTION) or "–"}]
    return {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": inner}]}


def _links(links: Sequence[tuple[str, str]]) -> Block:
    inner: list[Block] = []
    for label, url in links:
        gap = [{"type": "text", "text": "  ·  "}] if inner else []
        inner += [*gap, {"type": "link", "url": url, "text": escape(label, 75)}]
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": inner}]}


def _button(action: str, job: str) -> Block:
    label, style = _BUTTONS[action]
    made: Block = {"type": "button", "text": _plain(label, 75), "action_id": f"labq_{action}", "value": job}
    return made | ({"style": style} if style else {})
