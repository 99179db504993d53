"""The checked-in dashboards, and what Grafana makes of an expression before it asks Prometheus."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[2]
FOLDER = REPO / "dashboards" / "grafana" / "dashboards"
#: What a person chooses when they choose nothing: All, which is this regular expression.
ALL = {"node": ".*", "user": ".*", "group": ".*", "job": ".*"}


@dataclass(frozen=True)
class Asked:
    """One expression of a dashboard: where it stands, and as it stands there."""

    dashboard: str
    place: str
    expr: str


def boards() -> dict[str, dict[str, Any]]:
    """Every dashboard by the name of its file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def asked() -> Iterator[Asked]:
    """Every expression of every panel; those of variables are `label_values`, see `choices`."""
    for name, board in boards().items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield Asked(name, f"{panel['title']}/{target['refId']}", target["expr"])


def choices() -> Iterator[tuple[str, str, str, str]]:
    """Every variable: dashboard, name, the series whose label it lists, and that label."""
    for name, board in boards().items():
        for variable in board["templating"]["list"]:
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found, variable["query"]
            yield name, variable["name"], found[1], found[2]


def filled(expr: str, chosen: Mapping[str, str] = ALL, *, window: str = "5m", step: str = "15s") -> str:
    """Returns an expression as Grafana sends it.

    Variables become what is chosen (All is `.*`; several would be `(a|b)`), `$__range` and `$__rate_interval` the
    window, `$__interval` the step. `$1` is no variable: it is PromQL's, and Grafana leaves it alone.

    Args:
        expr: As it stands in the dashboard.
        chosen: Values of the variables, as regular expressions.
        window: How long the page's time is, as Prometheus writes it.
        step: Seconds between two points, as Prometheus writes it.

    Raises:
        AssertionError: It has a variable that is neither chosen nor Grafana's own.
    """
    own = {
        "__range_s": str(_seconds(window)),
        "__range": window,
        "__rate_interval": window,
        "__interval": step,
        "__interval_ms": str(_seconds(step) * 1000),
    }

    def value(found: re.Match[str]) -> str:
        name = found[1]
        assert name in own or name in chosen, f"${name} in {expr}"
        return own.get(name) or chosen[name]

    return re.sub(r"\$([A-Za-z_]\w*)", value, expr)


def _seconds(duration: str) -> int:
    return {"s": 1, "m": 60, "h": 3600, "d": 86400}[duration[-1]] * int(duration[:-1])
