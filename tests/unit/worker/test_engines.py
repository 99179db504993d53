"""Which engines' sockets the agent asks for containers: its own is always among them."""

from __future__ import annotations

import pytest

from labq.holding.sockets import DOCKER, PODMAN
from labq.settings import Settings
from labq_worker.config import read_config


@pytest.mark.parametrize(
    ("named", "docker_host", "asked"),
    [
        ("", "", (DOCKER, PODMAN)),
        ("", "unix:///run/one.sock", ("/run/one.sock", PODMAN)),
        ("", "tcp://10.0.0.1:2375", (DOCKER, PODMAN)),
        (PODMAN, "", (DOCKER, PODMAN)),
        ("/run/two.sock", "unix:///run/one.sock", ("/run/one.sock", "/run/two.sock")),
        (f"{PODMAN},unix://{DOCKER}", "", (DOCKER, PODMAN)),
    ],
)
def test_the_engine_that_runs_the_jobs_is_asked_whatever_the_setting_says(
    named: str, docker_host: str, asked: tuple[str, ...]
) -> None:
    settings = Settings({"redis_url": "redis://r:1/0", "engines": named})
    assert read_config(settings, "n1", docker_host).engines == asked
