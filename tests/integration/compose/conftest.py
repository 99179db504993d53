"""One set of images for all tests here, and one stack."""

from collections.abc import Iterator

import pytest
from support.compose import Stack, build_images
from support.engine import Engine
from support.waiting import wait_for

SERVICES = ("redis", "scheduler", "prometheus", "alertmanager", "registry")


@pytest.fixture(scope="session")
def images(engine: Engine) -> dict[str, str]:
    """What docker-compose must be told so that it takes the images that were built here."""
    engine.start()
    return build_images(engine)


@pytest.fixture(scope="module")
def stack(engine: Engine, images: dict[str, str]) -> Iterator[Stack]:
    """All that can run without Grafana's image, up and healthy."""
    found = Stack(engine, images)
    # As .env would say it: one with a value, one that is empty on purpose.
    found.settings |= {"LABQ_NODE_GRACE": "90s", "LABQ_IDLE_WARN": ""}
    try:
        found.up(*SERVICES)
        for service in SERVICES:
            wait_for(lambda s=service: found.healthy(s), 60, f"{service} to be healthy", hint=found.logs)  # type: ignore[misc]
        yield found
    finally:
        found.close()
