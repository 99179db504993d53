"""A lab of this machine alone, with a provisioner, for each test."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.provisioning import Lab


@pytest.fixture
def idle_lab(redis_url: str, tmp_path: Path) -> Lab:
    """No provisioner runs yet."""
    return Lab(redis_url, tmp_path)


@pytest.fixture
def lab(idle_lab: Lab) -> Iterator[Lab]:
    """A provisioner that reads the queue."""
    idle_lab.start()
    yield idle_lab
    (idle_lab.scratch / "go").touch()  # whatever still works may end
    idle_lab.end(signal.SIGTERM)
    idle_lab.end_drivers()
