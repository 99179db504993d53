"""What docker-compose.yml promises, read as data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from labq.settings import BY_NAME

REPO = Path(__file__).parents[3]
TEXT = (REPO / "docker-compose.yml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
#: ${NAME:-default}; $${…} is for a shell in the container
VARIABLES = dict(re.findall(r"(?<!\$)\$\{([A-Z_]+):-([^}]*)\}", TEXT))

every_service = pytest.mark.parametrize("name", SERVICES)


@every_service
def test_a_service_comes_back_has_a_limit_of_memory_and_a_log_that_ends(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["mem_limit"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@every_service
def test_a_service_has_a_read_only_root_and_gains_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.get("privileged")
    # The agent holds the engine's socket, which is root: dropping the rest would only look well.
    assert service.get("cap_drop") == ["ALL"] or name == "worker"


@every_service
def test_an_image_is_pinned_or_built_here(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        assert (REPO / service["build"]["dockerfile"]).is_file()
    else:
        default = re.fullmatch(r"\$\{\w+:-(.+)\}", service["image"])
        assert default
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-\w+)?", default[1])


@every_service
def test_a_port_is_published_on_loopback_unless_somebody_says_more(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.match(r"\$\{LABQ_\w*BIND:-127\.0\.0\.1\}:", port)


def test_what_not_every_lab_needs_waits_for_its_profile() -> None:
    found = {name: tuple(service["profiles"]) for name, service in SERVICES.items() if "profiles" in service}
    node = ("node",)
    assert found == {"notifier": ("slack",), "worker": node, "exporter": node, "node-exporter": node}


def test_only_these_are_published() -> None:
    published = {name for name, service in SERVICES.items() if "ports" in service}
    assert published == {"redis", "scheduler", "grafana", "registry"}


@every_service
def test_no_secret_is_in_an_environment_or_on_a_command_line(name: str) -> None:
    service = SERVICES[name]
    environment: dict[str, str] = service.get("environment", {})
    secret = {row.env for row in BY_NAME.values() if row.kind == "secret"}
    assert not secret & set(environment)
    for variable, value in environment.items():
        if re.search("PASSWORD|TOKEN|SECRET|REDIS_URL", variable):
            assert variable.endswith("_FILE"), variable
            assert value.removeprefix("/run/secrets/") in service["secrets"]
    assert not re.search("password|requirepass|token", " ".join(map(str, service.get("command", []))))


@every_service
def test_every_setting_given_to_a_program_of_ours_exists(name: str) -> None:
    known = {row.env for row in BY_NAME.values()} | {row.env_file for row in BY_NAME.values()}
    given = {key for key in SERVICES[name].get("environment", {}) if key.startswith("LABQ_")}
    assert given <= known


def test_every_secret_is_made_by_the_script_and_used() -> None:
    script = (REPO / "scripts" / "secrets").read_text()
    used = {
        item if isinstance(item, str) else item["source"]
        for service in SERVICES.values()
        for item in service.get("secrets", [])
    }
    assert used == set(FILE["secrets"])
    for name, where in FILE["secrets"].items():
        assert where == {"file": f"./secrets/{name}"}
        assert re.search(rf"\b{name}\b", script), name


def test_the_example_of_settings_shows_every_variable_with_its_default() -> None:
    shown = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (REPO / ".env.example").read_text(), re.MULTILINE))
    # Compose's own, which name no variable of the file.
    own = {"COMPOSE_PROFILES", "COMPOSE_FILE"}
    # Settings of labq that are passed on have its defaults (tests/contract/test_compose_settings.py).
    passed = {
        key: BY_NAME[key.removeprefix("LABQ_").lower()].default
        for service in SERVICES.values()
        for key, value in service.get("environment", {}).items()
        if value is None
    }
    assert {key: value for key, value in shown.items() if key not in own} == VARIABLES | passed


def test_git_and_the_engine_never_see_the_secrets() -> None:
    assert "/secrets/" in (REPO / ".gitignore").read_text().splitlines()
    assert "/.env" in (REPO / ".gitignore").read_text().splitlines()
    ignored = (REPO / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    harmless = {"!.env.example", "!scripts/secrets"}
    shown = [line for line in ignored if line.startswith("!") and line not in harmless]
    assert not [line for line in shown if re.search("secret|env", line)]


@pytest.mark.parametrize("name", ["scheduler", "worker", "exporter"])
def test_a_dockerfile_needs_no_buildkit_and_has_a_health_check(name: str) -> None:
    text = (REPO / name / "Dockerfile").read_text()
    assert text.count("FROM ${BASE}") == 2
    assert "HEALTHCHECK" in text
    assert not re.search(r"--mount|--chmod|<<", text)
    assert ("USER 7580:7580" in text) == (name == "scheduler")
