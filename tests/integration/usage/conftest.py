"""A store, and records in a directory of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labq.store import Store
from labq_scheduler.records.history import History


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    found = History("", tmp_path)
    yield found
    found.close()
