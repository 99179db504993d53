"""Words that others wrote, made fit to be shown. Pure."""

from __future__ import annotations

import re

#: Half of a pair of UTF-16: Python makes them of bytes that are no UTF-8, and JSON may hold them; nothing can print them.
_LONE = re.compile("[\ud800-\udfff]")


def plain(text: str) -> str:
    """Return the text with U+FFFD for each letter that cannot be written as UTF-8."""
    return _LONE.sub("\ufffd", text)
