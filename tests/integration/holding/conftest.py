"""Fixtures for tests of whose a process is."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine import Engine
from support.machine import Machine
from support.people import People, people

from labq.holding.engines import Containers

__all__ = ["machine", "people", "scratch"]


@pytest.fixture
def machine(clean_engine: Engine, people: People) -> Iterator[Machine]:
    """A machine at work; everything it started ends with the test."""
    containers = Containers([clean_engine.host])
    containers.start()
    made = Machine(clean_engine, containers, people)
    try:
        yield made
    finally:
        containers.stop()
        made.close()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory that everybody may enter: pytest's own are closed to other users."""
    made = Path("/srv") / f"labqt-{secrets.token_hex(4)}"
    made.mkdir(parents=True)
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)
