"""The files with which Grafana finds source, dashboards and home page agree with the dashboards and with each other."""

import configparser
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


def test_the_home_page_is_a_dashboard_where_the_provider_looks() -> None:
    (provider,) = provisioning("dashboards")["providers"]
    settings = configparser.ConfigParser()
    settings.read(GRAFANA / "grafana.ini")
    home = PurePosixPath(settings["dashboards"]["default_home_dashboard_path"])
    assert str(home.parent) == provider["options"]["path"]
    assert (FOLDER / home.name).is_file()
    assert provider["allowUiUpdates"] is False


def test_no_password_and_no_anonymous_access_is_in_these_files() -> None:
    settings = configparser.ConfigParser()
    settings.read(GRAFANA / "grafana.ini")
    assert not [
        name for section in settings.values() for name in section if "password" in name or "secret" in name
    ]
    assert settings["auth.anonymous"]["enabled"] == "false"
    for path in (GRAFANA / "provisioning").rglob("*.yaml"):
        assert "password" not in path.read_text().lower()
