"""What every dashboard has: its place for panels, its variables, and the way to the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labq_dashboards.panels import SOURCE
from labq_dashboards.sdk import builders, models

#: Columns of Grafana's grid.
WIDTH = 24
#: The dashboards in the order of their links.
NOW, MY_JOBS, QUEUE, USAGE, NODES = "labq-now", "labq-my-jobs", "labq-queue", "labq-usage", "labq-nodes"
LINKS = {
    NOW: "Who uses which GPU now",
    MY_JOBS: "My jobs",
    QUEUE: "Queue",
    USAGE: "Usage",
    NODES: "Node health",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, of one height; a width and a panel each."""

    height: int
    panels: Sequence[tuple[int, models.Panel]]


@dataclass(frozen=True, slots=True)
class Page:
    """One dashboard."""

    uid: str
    #: what it answers; the title is LINKS'
    question: str
    rows: Sequence[Row]
    variables: Sequence[models.VariableModel] = ()
    since: str = "now-24h"
    refresh: str = "1m"


def variable(name: str, label: str, query: str, text: str, *, multi: bool = True) -> models.VariableModel:
    """Return a choice that is filled by a query; All is everything, also what has no such label.

    Args:
        name: as it stands in expressions.
        label: what people see.
        query: ``label_values(…)`` as Grafana has it.
        text: what it chooses.
        multi: more than one may be chosen.
    """
    everything = models.VariableOption(selected=True, text="All", value="$__all")
    return (
        builders.QueryVariable(name)
        .label(label)
        .description(text)
        .datasource(SOURCE)
        .query({"query": query, "refId": f"variable-{name}", "qryType": 1})
        .definition(query)
        .include_all(True)
        .all_value(".*")
        .multi(multi)
        .current(everything)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
        .build()
    )


def node() -> models.VariableModel:
    """Return the choice of nodes."""
    return variable("node", "Node", "label_values(labq_gpu_info, node)", "Machines")


def user() -> models.VariableModel:
    """Return the choice of people: whoever held a GPU while the page's time lasts, or has a job, or is in the lab."""
    names = '{__name__=~"labq_gpu_user_held_seconds_total|labq_jobs|labq_user_info"}'
    return variable("user", "Person", f"label_values({names}, user)", "People")


def group() -> models.VariableModel:
    """Return the choice of groups."""
    return variable("group", "Group", "label_values(labq_user_info, group)", "Groups of people")


def dashboard(page: Page) -> models.Dashboard:
    """Return the page as Grafana has it."""
    made = models.Dashboard(
        uid=page.uid,
        title=f"labq / {LINKS[page.uid]}",
        description=page.question,
        tags=["labq"],
        timezone="browser",
        editable=False,
        graph_tooltip=models.DashboardCursorSync.CROSSHAIR,
        time=models.DashboardDashboardTime(from_val=page.since, to="now"),
        refresh=page.refresh,
        panels=list(placed(page.rows)),
        templating=models.DashboardDashboardTemplating(list_val=list(page.variables)),
        annotations=models.AnnotationContainer(list_val=[]),
        links=[_link(uid, title) for uid, title in LINKS.items() if uid != page.uid],
    )
    # Written by the owner of the file, not counted by Grafana.
    made.version = 1
    return made


def placed(rows: Sequence[Row]) -> list[models.Panel]:
    """Return the panels with their places: rows below each other, panels beside each other."""
    out: list[models.Panel] = []
    y = 0
    for row in rows:
        x = 0
        for width, panel in row.panels:
            panel.grid_pos = models.GridPos(h=row.height, w=width, x=x, y=y)
            out.append(panel)
            x += width
        y += row.height
    return out


def _link(uid: str, title: str) -> models.DashboardLink:
    return models.DashboardLink(
        title=title,
        type_val=models.DashboardLinkType.LINK,
        icon="dashboard",
        tooltip=title,
        url=f"/d/{uid}",
        include_vars=True,
        keep_time=True,
    )
