"""The files with which Grafana finds source, dashboards and home page agree with the dashboards and with each other."""

from pathlib import PurePosixPath
from typing import Any

import yaml
from support.grafana import FOLDER, REPO

GRAFANA = REPO / "dashboards" / "grafana"


def provisioning(kind: str) -> dict[str, Any]:
    (only,) = (GRAFANA / "provisioning" / kind).glob("*.yaml")
    loaded = yaml.safe_load(only.read_text())
    assert loaded["apiVersion"] == 1
    return dict(loaded)


def test_the_source_has_the_uid_that_the_dashboards_name() -> None:
    (source,) = provisioning("datasources")["datasources"]
    assert (source["uid"], source["type"], source["editable"]) == ("prometheus", "prometheus", False)


def test_the_source_knows_how_often_prometheus_asks() -> None:
    (source,) = provisioning("datasources")["datasources"]
    config = yaml.safe_load((REPO / "dashboards" / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


def test_the_jobs_of_prometheus_are_those_that_the_dashboards_name() -> None:
    from labq_dashboards.promql import EXPORTERS, MACHINES

    config = yaml.safe_load((REPO / "dashboards" / "prometheus" / "prometheus.yml").read_text())
    assert {EXPORTERS, MACHINES} <= {job["job_name"] for job in config["scrape_configs"]}


def test_compose_mounts_dashboards_and_home_page_where_grafana_looks() -> None:
    grafana = yaml.safe_load((REPO / "docker-compose.yml").read_text())["services"]["grafana"]
    mounts = {source: target for source, target, *_ in (each.split(":") for each in grafana["volumes"])}
    (provider,) = provisioning("dashboards")["providers"]
    assert mounts["./dashboards/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./dashboards/grafana/provisioning"] == "/etc/grafana/provisioning"
    home = PurePosixPath(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert (FOLDER / home.name).is_file()
    assert provider["allowUiUpdates"] is False


def test_no_password_is_in_these_files() -> None:
    for path in GRAFANA.rglob("*"):
        assert path.is_dir() or "password" not in path.read_text().lower(), path
