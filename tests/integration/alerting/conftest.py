"""The tools that read our rules and routes."""

import shutil
from pathlib import Path

import pytest
from support.need import need

DASHBOARDS = Path(__file__).parents[3] / "dashboards"


@pytest.fixture
def promtool() -> str:
    """promtool, or the test is skipped."""
    need(shutil.which("promtool"), "promtool (apt-get install prometheus)")
    return "promtool"


@pytest.fixture
def amtool() -> str:
    """amtool, or the test is skipped."""
    need(shutil.which("amtool"), "amtool (apt-get install prometheus-alertmanager)")
    return "amtool"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of Prometheus' and Alertmanager's configuration, with the secrets that a lab would put beside them."""
    shutil.copytree(DASHBOARDS, tmp_path / "dashboards", ignore=shutil.ignore_patterns("grafana"))
    for secret in ("prometheus/secrets/labq-metrics-token", "alertmanager/secrets/slack-token"):
        path = tmp_path / "dashboards" / secret
        path.parent.mkdir(exist_ok=True)
        path.write_text("secret\n")
    return tmp_path / "dashboards"
