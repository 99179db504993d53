"""The kinds of panel that there are. Each function makes one; ``id`` is chosen once and never given to another.

Links of people name a panel by its id, so a new panel takes the next free number wherever it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from labq_dashboards.palette import Step, fixed, steps
from labq_dashboards.sdk import (
    PromQueryFormat,
    bargauge,
    builders,
    common,
    common_builders,
    models,
    prometheus,
    stat,
    statetimeline,
    text,
    text_models,
    timeseries,
)

SOURCE = common.DataSourceRef(type_val="prometheus", uid="prometheus")
PLAIN: tuple[Step, ...] = ((None, "text"),)


@dataclass(frozen=True, slots=True)
class Query:
    """One expression; `name` is the legend, which may contain ``{{label}}``."""

    expr: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """What every panel has."""

    id: int
    title: str
    #: what it says and what to do about it; the (i) at the title
    description: str
    unit: str
    #: what stands there when there is no series
    empty: str
    #: where a click on a value leads: (text, address)
    links: tuple[tuple[str, str], ...] = ()
    steps: tuple[Step, ...] = PLAIN
    mappings: Sequence[models.ValueMapping] = field(default=())


def targets(queries: Sequence[Query], *, instant: bool, table: bool = False) -> list[prometheus.Dataquery]:
    """Return the queries as a panel has them, called A, B, C and so on."""
    made = []
    for letter, query in zip(ascii_uppercase, queries, strict=False):
        one = prometheus.Dataquery().ref_id(letter).datasource(SOURCE).expr(query.expr)
        one = one.instant() if instant else one.range()
        if query.name:
            one = one.legend_format(query.name)
        if table:
            one = one.format(PromQueryFormat.TABLE)
        made.append(one)
    return made


def links(pairs: Sequence[tuple[str, str]]) -> list[models.DashboardLink]:
    """Return links of values in the form of the SDK."""
    return [models.DashboardLink(title=title, url=url) for title, url in pairs]


def finish(panel: models.Panel, about: About) -> models.Panel:
    """Return the panel with what every panel has."""
    panel.id_val, panel.title, panel.description, panel.datasource = (
        about.id,
        about.title,
        about.description,
        SOURCE,
    )
    config = panel.field_config or models.FieldConfigSource()
    config.defaults.unit, config.defaults.no_value = about.unit, about.empty
    config.defaults.thresholds = steps(*about.steps).build()
    config.defaults.mappings = list(about.mappings)
    if about.links:
        config.defaults.links = links(about.links)
    panel.field_config = config
    return panel


def override(name: str, *properties: models.DynamicConfigValue) -> models.DashboardFieldConfigSourceOverrides:
    """Return what is special about the field of a name."""
    return models.DashboardFieldConfigSourceOverrides(
        matcher=models.MatcherConfig(id_val="byName", options=name), properties=list(properties)
    )


def overrides(panel: models.Panel, *special: models.DashboardFieldConfigSourceOverrides) -> models.Panel:
    """Return the panel with what is special about some fields."""
    config = panel.field_config or models.FieldConfigSource()
    config.overrides = [*config.overrides, *special]
    panel.field_config = config
    return panel


def colored(panel: models.Panel, colors: Mapping[str, str] | None) -> models.Panel:
    """Return the panel with a colour for each series by its name."""
    return overrides(panel, *(override(name, fixed(color)) for name, color in (colors or {}).items()))


def number(
    about: About,
    *queries: Query,
    colors: Mapping[str, str] | None = None,
    whole: bool = False,
    decimals: float | None = None,
) -> models.Panel:
    """Return big numbers of now, coloured by thresholds or by name; `whole` fills the panel with the colour."""
    panel = (
        stat.Panel()
        .targets(list(targets(queries, instant=True)))
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.BACKGROUND_SOLID if whole else common.BigValueColorMode.VALUE)
        .text_mode(
            common.BigValueTextMode.VALUE_AND_NAME if len(queries) > 1 else common.BigValueTextMode.VALUE
        )
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    return colored(finish(panel.build(), about), colors)


def lines(
    about: About,
    *queries: Query,
    stacked: bool = False,
    bars: bool = False,
    top: float | None = None,
    colors: Mapping[str, str] | None = None,
    dashed: Sequence[str] = (),
) -> models.Panel:
    """Return values over time; `top` fixes the axis, `dashed` names lines that are limits."""
    panel = (
        timeseries.Panel()
        .targets(list(targets(queries, instant=False)))
        .line_width(1)
        .fill_opacity(60 if stacked or bars else 8)
        .show_points(common.VisibilityMode.NEVER)
        .min(0)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        # A person has the same colour on every page.
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
    )
    if bars:
        panel = panel.draw_style(common.GraphDrawStyle.BARS)
    if stacked:
        panel = panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if top is not None:
        panel = panel.max(top)
    done = colored(finish(panel.build(), about), colors)
    line = models.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 8]})
    plain = models.DynamicConfigValue(id_val="custom.fillOpacity", value=0)
    return overrides(done, *(override(name, fixed("text"), line, plain) for name in dashed))


def timeline(about: About, *queries: Query, since: str | None = None) -> models.Panel:
    """Return a row for each series, coloured by its state; `since` shows that long whatever the page shows."""
    panel = (
        statetimeline.Panel()
        .targets(list(targets(queries, instant=False)))
        .show_value(common.VisibilityMode.NEVER)
        .row_height(0.85)
        .merge_values(True)
        .line_width(0)
        .fill_opacity(85)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
    )
    if since:
        panel = panel.time_from(since)
    return finish(panel.build(), about)


def bars(about: About, *queries: Query, top: float | None = None) -> models.Panel:
    """Return a bar for each series of now, the names at their left."""
    panel = (
        bargauge.Panel()
        .targets(list(targets(queries, instant=True)))
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .value_mode(common.BarGaugeValueMode.TEXT)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .min(0)
    )
    if about.steps == PLAIN:
        panel = panel.color_scheme(
            builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)
        )
    if top is not None:
        panel = panel.max(top)
    return finish(panel.build(), about)


def note(id: int, title: str, description: str, content: str) -> models.Panel:  # noqa: A002
    """Return a few sentences (Markdown)."""
    panel = text.Panel().mode(text_models.TextMode.MARKDOWN).content(content).build()
    panel.id_val, panel.title, panel.description = id, title, description
    return panel
