"""What the expressions ask for exists: every metric in a table of ours or on a short list, every label on that metric."""

import re

import pytest
import yaml
from support.grafana import ALL, REPO, Asked, asked, boards, choices, filled

from labq_exporter.table import TABLE as EXPORTER
from labq_scheduler.metrics.table import TABLE as SERVER

#: Prometheus puts these on every series of a target.
TARGET = {"node", "instance", "job"}
OURS = {row.name: {*row.labels, *TARGET} for row in (*EXPORTER, *SERVER)}
HISTOGRAMS = {f"{row.name}_bucket": {*row.labels, *TARGET, "le"} for row in SERVER if row.kind == "histogram"}
#: What others make: Prometheus itself, and node_exporter.
OTHERS = {
    "up": TARGET,
    "ALERTS": {*TARGET, "alertname", "alertstate", "severity", "gpu", "user"},
    "node_filesystem_avail_bytes": {*TARGET, "mountpoint", "fstype", "device"},
    "node_filesystem_size_bytes": {*TARGET, "mountpoint", "fstype", "device"},
    "node_memory_MemAvailable_bytes": TARGET,
    "node_memory_MemTotal_bytes": TARGET,
    "node_load5": TARGET,
    "node_cpu_seconds_total": {*TARGET, "mode", "cpu"},
}
#: Recording rules of ours; what they are is tested where they are.
RECORDED = {"user:labq_user_info:last1h": {"user", "slack_id", "group"}}
KNOWN = {**OURS, **HISTOGRAMS, **OTHERS, **RECORDED}
#: Labels that label_replace makes.
MADE = {"what", "way", "shown", "card"}
WORDS = {
    "abs", "and", "avg", "avg_over_time", "bool", "bottomk", "by", "clamp_min", "count", "deriv", "group", "group_left", "histogram_quantile",
    "increase", "label_replace", "last_over_time", "max", "max_over_time", "min", "on", "or", "rate", "round", "sort_desc", "sum",
    "sum_over_time", "time", "topk", "unless", "vector",
}  # fmt: skip
QUERIES = [pytest.param(each, id=f"{each.dashboard}/{each.place}") for each in asked()]
SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)?\{([^{}]*)\}")


def without_strings(expr: str) -> str:
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)


def metrics(expr: str) -> set[str]:
    """Names outside braces, label lists and strings that are no words of PromQL."""
    bare = re.sub(r"\b(by|on|group_left)\s*\([^()]*\)", r"\1", without_strings(expr))
    bare = re.sub(r"\{[^{}]*\}|\[[^\]]*\]", "", bare)
    return set(re.findall(r"(?<![\w.$])[A-Za-z_:][\w:]*", bare)) - WORDS


def labels_of(selector: str) -> set[str]:
    return set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", without_strings(selector)))


def test_every_rule_that_is_used_is_recorded() -> None:
    groups = yaml.safe_load((REPO / "dashboards/prometheus/rules/recording.yml").read_text())["groups"]
    assert set(RECORDED) <= {rule.get("record") for group in groups for rule in group["rules"]}


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_is_exported_by_somebody(query: Asked) -> None:
    found = metrics(filled(query.expr))
    assert found, "it asks for something"
    assert found <= set(KNOWN)


@pytest.mark.parametrize("query", QUERIES)
def test_every_label_that_is_chosen_by_is_on_that_metric(query: Asked) -> None:
    for name, selector in SELECTOR.findall(filled(query.expr)):
        assert labels_of(selector) <= KNOWN[name], f"{name}{{{selector}}}"


@pytest.mark.parametrize("query", QUERIES)
def test_every_label_that_is_summed_or_joined_by_is_on_a_metric_of_the_expression(query: Asked) -> None:
    expr = without_strings(query.expr)
    known = MADE.union(*(KNOWN[name] for name in metrics(filled(query.expr))))
    for inside in re.findall(r"\b(?:by|on|group_left)\s*\(([^()]*)\)", expr):
        assert {label.strip() for label in inside.split(",") if label.strip()} <= known, inside


@pytest.mark.parametrize(("dashboard", "name", "series", "label"), list(choices()))
def test_a_variable_lists_a_label_that_its_series_have(
    dashboard: str, name: str, series: str, label: str
) -> None:
    filled(series)
    named = re.search(r'__name__=~"([^"]+)"', series)
    for metric in named[1].split("|") if named else [series.partition("{")[0]]:
        assert label in KNOWN[metric], f"{dashboard} ${name}"


@pytest.mark.parametrize("name", boards())
def test_a_dashboard_has_the_variables_that_it_uses_and_no_others(name: str) -> None:
    used = {
        word
        for query in asked() if query.dashboard == name
        for word in re.findall(r"\$([a-z]\w*)", query.expr)
    }  # fmt: skip
    assert used == {variable for board, variable, _, _ in choices() if board == name}
    assert used <= set(ALL)


@pytest.mark.parametrize("query", QUERIES)
def test_a_legend_names_labels_that_the_expression_leaves(query: Asked) -> None:
    title, ref = query.place.rsplit("/", 1)
    panels = {panel["title"]: panel for panel in boards()[query.dashboard]["panels"]}
    target = next(each for each in panels[title]["targets"] if each["refId"] == ref)
    for label in re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")):
        assert re.search(rf"\bby \([^()]*\b{label}\b", query.expr), label


def test_a_variable_that_nobody_knows_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"\$nobody"):
        filled('up{node="$nobody"}')


def test_macros_and_choices_are_filled_in_and_the_groups_of_label_replace_stay() -> None:
    expr = 'label_replace(x{node=~"$node"}[$__range:$__interval], "a", "$1", "b", "(.+)") > $__range_s'
    assert filled(expr, {"node": "(a|b)"}, window="2h") == (
        'label_replace(x{node=~"(a|b)"}[2h:15s], "a", "$1", "b", "(.+)") > 7200'
    )
