"""A sketch of each dashboard in characters: where its panels are. Grafana itself draws no picture without a browser."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

from labq_dashboards.frame import WIDTH
from labq_dashboards.sdk import models

#: Characters of one column of the grid, and rows of the grid in one line of characters.
ACROSS, DOWN = 5, 2
HEAD = """<!-- Made by scripts/gen_dashboards; change dashboards/labq_dashboards, not this file. -->

# Dashboards

What each page of Grafana shows, and where. How to install and change them: [dashboards](../howto/dashboards.md).
"""


def page(boards: Mapping[str, models.Dashboard]) -> str:
    """Return the page of docs.

    Args:
        boards: by uid, in the order in which they are shown.
    """
    return "\n".join([HEAD, *(_section(uid, board) for uid, board in boards.items())]).rstrip() + "\n"


def _section(uid: str, board: models.Dashboard) -> str:
    panels = [panel for panel in board.panels or [] if isinstance(panel, models.Panel)]
    variables = [str(one.label) for one in (board.templating.list_val or [])] if board.templating else []
    parts = [
        f"## {board.title}\n",
        f"*{board.description}* `/d/{uid}`, choices: {', '.join(variables)}.\n",
        f"```text\n{drawing(panels)}\n```\n",
        "| panel | kind | what it says |\n| --- | --- | --- |",
        *(f"| {one.title} | {one.type_val} | {one.description} |" for one in panels),
    ]
    return "\n".join(parts) + "\n"


def drawing(panels: list[models.Panel]) -> str:
    """Return boxes with titles, as the panels lie."""
    places = [(panel, panel.grid_pos) for panel in panels if panel.grid_pos]
    depth = max(at.y + at.h for _, at in places) // DOWN + 1
    field = [[" "] * (WIDTH * ACROSS + 1) for _ in range(depth + 1)]
    for panel, at in places:
        left, right = at.x * ACROSS, (at.x + at.w) * ACROSS
        upper, lower = at.y // DOWN, (at.y + at.h) // DOWN
        for x in range(left, right + 1):
            for y in (upper, lower):
                field[y][x] = "+" if x in (left, right) or field[y][x] == "+" else "-"
        for y in range(upper + 1, lower):
            field[y][left] = field[y][right] = "|"
        for below, line in enumerate(wrap(panel.title or "", right - left - 3)[: lower - upper - 1]):
            field[upper + 1 + below][left + 2 : left + 2 + len(line)] = list(line)
    return "\n".join("".join(line).rstrip() for line in field).rstrip()
