"""Every setting of labq can be said in .env: a new one is passed on by docker-compose.yml, or a reason stands here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from labq.settings import BY_NAME, SETTINGS

REPO = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((REPO / "docker-compose.yml").read_text())["services"]
EXAMPLE = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (REPO / ".env.example").read_text(), re.MULTILINE))
#: service -> its word in ``Setting.used_by``
READERS = {"scheduler": "server", "notifier": "notifier", "worker": "agent", "exporter": "exporter"}
#: (service, setting) -> why .env cannot say it
NOT_PASSED = {
    ("scheduler", "records_url"): "the image brings no driver of another database than SQLite",
    ("notifier", "records_url"): "the same",
    ("notifier", "notify"): "only `labq up` reads it; here the profile slack says whether it runs",
    ("worker", "shared_files"): "agent and server have volumes of their own",
    ("worker", "run_dir"): "mounted at its default place",
    ("exporter", "run_dir"): "the same",
    ("worker", "dcgm_jobs_dir"): "a directory of the container, where no other exporter looks",
    ("worker", "jobstats_dir"): "the same",
    ("worker", "engines"): "only the engine that runs the jobs is mounted",
    ("worker", "stamp_key"): "the proxy's key is not mounted",
    ("exporter", "stamp_key"): "the same",
    ("exporter", "exporter_web_config"): "no certificates are mounted; the port is not published",
}
every_service = pytest.mark.parametrize("service", READERS)


def environment(service: str) -> dict[str, str | None]:
    """What the file says of a service's environment; None = .env's, if it says anything."""
    said: dict[str, str | None] = SERVICES[service]["environment"]
    return said


def of_the_image(service: str) -> set[str]:
    """The settings that the image itself fixes."""
    text = (REPO / SERVICES[service]["build"]["dockerfile"]).read_text()
    return set(re.findall(r"\b(LABQ_[A-Z_]+)=", text))


@every_service
def test_every_setting_that_a_service_reads_can_be_said_in_env_or_a_reason_stands_above(service: str) -> None:
    given = set(environment(service)) | of_the_image(service)
    forgotten = [
        row.env
        for row in SETTINGS
        if READERS[service] in row.used_by
        and not {row.env, row.env_file} & given
        and (service, row.name) not in NOT_PASSED
    ]
    assert forgotten == [], (
        f"write `{forgotten[0]}:` below `environment:` of `{service}` in docker-compose.yml and "
        f"`#{forgotten[0]}={BY_NAME[forgotten[0][5:].lower()].default}` into .env.example, "
        "or the reason why not into NOT_PASSED of this test"
    )


@every_service
def test_a_service_is_told_only_what_it_reads(service: str) -> None:
    read = {
        name
        for row in SETTINGS
        if READERS[service] in row.used_by
        for name in (row.env, row.env_file)
        if name
    }
    assert {name for name in environment(service) if name.startswith("LABQ_")} - read == set()


@every_service
def test_what_env_does_not_say_takes_nothing_from_the_image(service: str) -> None:
    # A variable without a value is not only not set: one of the image's is taken away, and its health check needs it.
    passed = {name for name, value in environment(service).items() if value is None}
    assert passed & of_the_image(service) == set()


def test_the_example_shows_what_is_passed_on_with_its_default() -> None:
    passed = {name for service in READERS for name, value in environment(service).items() if value is None}
    defaults = {name: BY_NAME[name.removeprefix("LABQ_").lower()].default for name in passed}
    assert {name: EXAMPLE.get(name) for name in passed} == defaults


def test_no_reason_is_out_of_date() -> None:
    for service, name in NOT_PASSED:
        assert READERS[service] in BY_NAME[name].used_by
        assert not {BY_NAME[name].env, BY_NAME[name].env_file} & set(environment(service)) - {""}
