"""Tables: several queries whose series have the same labels, merged into one row for each set of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Literal

from labq_dashboards.palette import Step, steps
from labq_dashboards.panels import About, Query, finish, links, override, overrides, targets
from labq_dashboards.sdk import common, common_builders, models, table


@dataclass(frozen=True, slots=True)
class Column:
    """One column: a label of the series, or a query's value."""

    #: the label's name, or the query's letter
    of: str
    title: str
    unit: str = ""
    look: Literal["plain", "text", "cell", "gauge"] = "plain"
    steps: tuple[Step, ...] = ()
    mappings: Sequence[models.ValueMapping] = field(default=())
    links: tuple[tuple[str, str], ...] = ()
    #: pixels; None shares what is left
    width: int | None = None
    decimals: int | None = None


_LOOKS = {
    "text": common.TableColorTextCellOptions(),
    "cell": common.TableColoredBackgroundCellOptions(mode=common.TableCellBackgroundDisplayMode.BASIC),
    "gauge": common.TableBarGaugeCellOptions(mode=common.BarGaugeDisplayMode.BASIC),
}


def rows(
    about: About, queries: Sequence[Query], columns: Sequence[Column], sort: Sequence[tuple[str, bool]] = ()
) -> models.Panel:
    """Return a table of now.

    Args:
        about: as of every panel; `empty` stands there when there is no row.
        queries: A, B, C…; their series must have the same labels, else rows do not find each other.
        columns: in their order; what is not named is not shown.
        sort: (title, descending) of columns.
    """
    panel = (
        table.Panel()
        .targets(list(targets(queries, instant=True, table=True)))
        .cell_height(common.TableCellHeight.SM)
        .show_header(True)
        .sort_by(
            [common_builders.TableSortByFieldState().display_name(name).desc(desc) for name, desc in sort]
        )
        .transformations(_shape(len(queries), columns))
        .build()
    )
    special = [override(column.title, *_properties(column)) for column in columns]
    return overrides(finish(panel, about), *special)


def _shape(queries: int, columns: Sequence[Column]) -> list[models.DataTransformerConfig]:
    """Return the transformations: merge, keep what is named, put it in order, give it titles."""
    # The value of a lone query is called Value, that of one of several Value #A.
    fields = {column.of: (["Value #A", "Value"] if column.of == "A" else [f"Value #{column.of}"])
              if column.of in ascii_uppercase[:queries] else [column.of] for column in columns}  # fmt: skip
    named = [(name, column.title) for column in columns for name in fields[column.of]]
    return [
        models.DataTransformerConfig(id_val="merge", options={}),
        models.DataTransformerConfig(
            id_val="filterFieldsByName", options={"include": {"names": [name for name, _ in named]}}
        ),
        models.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {},
                "indexByName": {name: place for place, (name, _) in enumerate(named)},
                "renameByName": dict(named),
            },
        ),
    ]


def _properties(column: Column) -> list[models.DynamicConfigValue]:
    # An empty cell would else show the sentence of the empty table.
    found: list[tuple[str, object]] = [("noValue", "–")]
    if column.unit:
        found.append(("unit", column.unit))
    if column.decimals is not None:
        found.append(("decimals", column.decimals))
    if column.look in _LOOKS:
        found.append(("custom.cellOptions", _LOOKS[column.look]))
    if column.look == "gauge":
        found += [("min", 0), ("max", 1)]
    if column.steps:
        found += [("thresholds", steps(*column.steps).build()), ("color", {"mode": "thresholds"})]
    if column.mappings:
        found.append(("mappings", list(column.mappings)))
    if column.links:
        found.append(("links", links(column.links)))
    if column.width:
        found.append(("custom.width", column.width))
    return [models.DynamicConfigValue(id_val=name, value=value) for name, value in found]
