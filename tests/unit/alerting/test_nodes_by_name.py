"""A node may have any name: nothing of labq's own goes by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[3] / "dashboards"


def scrapes() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FOLDER / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    return found


def test_the_servers_own_series_carry_no_name_that_a_node_could_have() -> None:
    fixed = [group for scrape in scrapes() for group in scrape.get("static_configs", ())]
    assert len(fixed) == 3
    assert [group for group in fixed if "node" in group.get("labels", {})] == []


def test_who_is_out_of_service_silences_all_else_of_the_node_and_is_told_to_nobody() -> None:
    config = yaml.safe_load((FOLDER / "alertmanager" / "alertmanager.yml").read_text())
    (rule,) = [
        rule for rule in config["inhibit_rules"] if rule["source_matchers"] == ["alertname = LabqNodeAway"]
    ]
    assert rule["target_matchers"] == ["alertname != LabqNodeAway", 'node =~ ".+"']
    assert rule["equal"] == ["node"]
    (nobody,) = [receiver for receiver in config["receivers"] if receiver["name"] == "nobody"]
    assert set(nobody) == {"name"}
