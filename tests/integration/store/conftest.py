"""A store over a real Redis, and a board that follows it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labq.store import Store
from labq_scheduler.board import Board


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url)


@pytest.fixture
def board(store: Store) -> Iterator[Board]:
    board = Board(store)
    board.start()
    yield board
    board.stop()
