"""What every rule, its test and its runbook must have; promtool says the rest (tests/integration/alerting)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from labq.metric import Metric
from labq_exporter.table import TABLE as OF_EXPORTER
from labq_scheduler.metrics.table import TABLE as OF_SERVER

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "dashboards" / "prometheus"
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
PARTS = ("**Meaning.**", "**Impact.**", "**What to type.**", "**Remedy.**")

#: Of Prometheus, Alertmanager and node_exporter themselves.
OF_OTHERS = {
    "up", "prometheus_rule_evaluation_failures_total", "alertmanager_notifications_failed_total",
    "node_filesystem_avail_bytes", "node_filesystem_size_bytes", "node_filesystem_readonly",
    # node_exporter's textfile collector reads it from a file that the backup writes
    "labq_backup_last_success_timestamp_seconds",
}  # fmt: skip


def groups() -> Iterator[dict[str, Any]]:
    for path in sorted((FOLDER / "rules").glob("*.yml")):
        yield from yaml.safe_load(path.read_text())["groups"]


RULES = [rule for group in groups() for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def names_in(expression: str) -> set[str]:
    """The series that an expression names; in the end PromQL's own words are whatever is left."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    found = re.findall(r"(?<![\w:.])([a-zA-Z_][\w:]*)(?!\s*\()(?![\w:])", bare)
    return set(found) - {"and", "or", "unless", "offset", "bool", "by", "on"}


def queries_in(text: str) -> Iterator[str]:
    """The expressions that an annotation asks."""
    for quoted in re.findall(r'(?:printf|query) \(?(?:printf )?"((?:[^"\\]|\\.)*)"', text):
        if "{" in quoted or "(" in quoted:
            yield re.sub(r"\\\"", '"', quoted).replace("%q", '"x"')


def suffixes(metric: Metric) -> set[str]:
    ends = ("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",)
    return {metric.name + end for end in ends}


KNOWN = set().union(*(suffixes(metric) for metric in (*OF_EXPORTER, *OF_SERVER)))


def test_the_names_in_an_expression_are_found() -> None:
    assert names_in(
        'sum by (node) (rate(a_total{x="b_c"}[5m])) / on (node) group_left (d) e:f:g unless h offset 1h'
    ) == {"a_total", "e:f:g", "h"}
    assert names_in("time() - max(labq_x) > 3 * 60") == {"labq_x"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_series_that_a_rule_asks_for_exists(rule: dict[str, Any]) -> None:
    asked = names_in(rule["expr"])
    for text in rule.get("annotations", {}).values():
        for query in queries_in(text):
            asked |= names_in(query)
    assert asked or rule.get("alert") == "LabqWatchdog"
    assert asked <= KNOWN | RECORDED | OF_OTHERS


def test_labels_that_rules_select_by_are_labels_of_the_metric() -> None:
    labels = {
        metric.name: {*metric.labels, "node", "instance", "job"} for metric in (*OF_EXPORTER, *OF_SERVER)
    }
    for rule in RULES:
        for name, matchers in re.findall(r"(labq_\w+)\{([^}]*)\}", rule["expr"]):
            used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
            assert used <= labels.get(name, used), (rule, name)


def test_no_series_is_made_up() -> None:
    made_up = [rule for rule in RULES if "vector(" in rule["expr"] or "absent" in rule["expr"]]
    assert [rule.get("alert") for rule in made_up] == ["LabqWatchdog"]


@each_alert
def test_an_alert_says_what_is_wrong_for_whom_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["labels"]["audience"] in {"admin", "user"}
    notes = alert["annotations"]
    assert set(notes) == {"summary", "description", "resolved", "runbook_url"}
    assert notes["runbook_url"] == "{{ $externalLabels.runbooks }}#" + alert["alert"].lower()
    assert len(notes["summary"]) <= 120
    assert not notes["summary"].endswith(".")


@each_alert
def test_a_title_names_node_and_gpu_and_person_and_never_a_container(alert: dict[str, Any]) -> None:
    title = alert["annotations"]["summary"]
    assert "container" not in title
    if alert["alert"].startswith("LabqGpu") and alert["alert"] not in {
        "LabqGpuMissing",
        "LabqGpuCollectionStuck",
    }:
        assert "GPU {{ $labels.gpu }} of {{ $labels.node }}" in title
    if alert["labels"]["audience"] == "user":
        assert "{{ $labels.user }}" in title


@each_alert
def test_a_description_carries_a_value_and_no_raw_number(alert: dict[str, Any]) -> None:
    text = alert["annotations"]["description"]
    assert "value" in text or "query" in text
    if "_bytes" in alert["expr"] and "/" not in alert["expr"] and "ratio" not in alert["expr"]:
        assert "humanize1024" in text
    if alert["expr"].lstrip().startswith("time()"):
        assert "humanizeDuration" in text


@each_alert
def test_the_runbook_of_an_alert_has_its_four_parts(alert: dict[str, Any]) -> None:
    found = re.search(rf"^### {alert['alert']}\n(.*?)(?=^##|\Z)", RUNBOOKS, re.M | re.S)
    assert found, f"docs/runbooks.md has no heading {alert['alert']}"
    at = [found[1].find(part) for part in PARTS]
    assert -1 not in at
    assert at == sorted(at)
    assert re.search(r"```sh\n.+\n```", found[1], re.S)


def test_there_is_no_runbook_without_an_alert() -> None:
    assert re.findall(r"^### (\w+)$", RUNBOOKS, re.M) != []
    assert set(re.findall(r"^### (\w+)$", RUNBOOKS, re.M)) == {alert["alert"] for alert in ALERTS}


def cases() -> Iterator[tuple[str, str, bool]]:
    """Alert, sentence, whether it fires, of each test for promtool."""
    for path in sorted((FOLDER / "tests").glob("*.yml")):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test.get("alert_rule_test", ()):
                yield case["alertname"], test["name"], bool(case["exp_alerts"])


@each_alert
def test_promtool_sees_each_alert_on_and_off_in_a_sentence(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    mine = [(sentence, fires) for alertname, sentence, fires in cases() if alertname == name]
    wanted = {True} if name == "LabqWatchdog" else {True, False}  # the watchdog is never off
    assert {fires for _, fires in mine} == wanted
    assert all(sentence.startswith(f"{name}: ") and len(sentence.split()) >= 3 for sentence, _ in mine)


@pytest.mark.parametrize("alert", [a for a in ALERTS if "for" in a], ids=lambda alert: alert["alert"])
def test_promtool_sees_that_an_alert_waits_for_its_time(alert: dict[str, Any]) -> None:
    seen = set()
    for path in (FOLDER / "tests").glob("*.yml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            mine = [c for c in test.get("alert_rule_test", ()) if c["alertname"] == alert["alert"]]
            seen.add(tuple(sorted(bool(case["exp_alerts"]) for case in mine)))
    assert (False, True) in seen, "no test looks at one story before and after `for`"


def test_every_series_that_is_recorded_is_used_by_an_alert_or_named_for_dashboards() -> None:
    used = set().union(*(names_in(rule["expr"]) for rule in RULES))
    assert {
        name for name in RECORDED - used if not name.endswith(("rate5m", "increase1d", "ratio1d", "count"))
    } == set()


def test_an_alert_of_a_node_that_dies_outlives_its_series_until_the_node_is_known_to_be_down() -> None:
    waits = {alert["alert"]: alert["for"] for alert in ALERTS if "for" in alert}
    kept = {alert["keep_firing_for"] for alert in ALERTS if "keep_firing_for" in alert}
    assert waits["LabqNodeDown"] == "10m"
    assert kept == {"15m"}
