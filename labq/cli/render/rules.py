"""The lab's rules as text. Pure."""

from __future__ import annotations

from labq.cli.render.text import clean, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_FROM = {"file": "", "copy": " (a copy of the last good one)", "defaults": ""}


def rules_text(found: Mapping[str, Any], width: int) -> str:
    """Return the rules in force, and the line of the file in which each is said."""
    rows = [
        [
            clean(str(row["key"])),
            clean(str(row["value"])),
            "default" if row["line"] is None else f"line {row['line']}",
        ]
        for row in found["rows"]
    ]
    where = clean(str(found["file"])) or "no file"
    if found["from"] == "defaults":
        head = f"the defaults: {where} is not there" if not found["problem"] else "the defaults"
    else:
        head = f"{where}{_FROM[found['from']]}, in force since {clean(str(found['since']))}"
    return f"{head}\n{table(['RULE', 'VALUE', 'FROM'], rows, width)}"


def diff_text(found: Mapping[str, Any], width: int) -> str:
    """Return what a file would change."""
    rows = [
        [
            clean(str(row["key"])),
            "-" if row["now"] is None else clean(row["now"]),
            "-" if row["then"] is None else clean(row["then"]),
        ]
        for row in found["changes"]
    ]
    return table(["RULE", "NOW", "THEN"], rows, width)


def default_file(found: Mapping[str, Any]) -> str:
    """Return the defaults as a file whose lines are all comments, to begin with."""
    lines = ["# The lab's rules. What is not said is as here. Check it: labq admin rules check FILE", ""]
    section = ""
    for row in found["rows"]:
        if row["default"] is None:
            continue
        head, _, key = str(row["key"]).rpartition(".")
        if head != section:
            lines += [""] if section else []
            lines.append(f"[{head}]")
            section = head
        lines.append(f"# {key} = {row['default']}")
    return "\n".join(lines) + "\n"
