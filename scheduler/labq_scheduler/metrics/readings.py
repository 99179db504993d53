"""What a page needs from Redis and the disk, asked in threads that may hang alone: a page waits a second, no longer.

What cannot be had is None; it never takes the rest with it.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from labq.clock import now
from labq.errors import LabqError
from labq.node import Node
from labq.store import Person
from labq.store.events import id_key
from labq_scheduler.verbs.lab import Lab

log = logging.getLogger(__name__)
T = TypeVar("T")

#: Seconds that a page waits for Redis, or for the disk.
PATIENCE = 1.0
DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What Redis said."""

    #: of Redis itself, in its own words
    info: dict[str, Any] | None = None
    #: with what their agents last read
    nodes: list[tuple[Node, dict[str, Any]]] | None = None
    people: list[Person] | None = None
    #: seconds that the board is behind the event stream; None = it has not read the lab's state
    lag: float | None = None
    #: GPU-seconds by person; None = the records could not be read yet
    charged: dict[str, float] | None = None
    notices: Notices | None = None


@dataclass(frozen=True, slots=True)
class Notices:
    """What people are told, and what could not be sent."""

    pending: int
    dead: int
    dead_last_day: int
    #: a notifier lives
    alive: bool
    #: by kind and outcome
    counts: dict[tuple[str, str], int]
    #: by reason
    missed: dict[str, int]


class _Asked(Generic[T]):
    """One question, asked in a thread of its own that may hang; never twice at the same time."""

    def __init__(self, name: str, question: Callable[[], T]) -> None:
        self._question = question
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._asked: Future[T] | None = None
        self._lock = threading.Lock()

    def answer(self, patience: float) -> T | None:
        """Return what is said now: None when that takes too long (what was said before is old)."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = self._pool.submit(self._question)
            asked = self._asked
        done, _ = wait([asked], patience)
        return asked.result() if done else None


class Readings:
    """Asks Redis, and the disk, when a page is made."""

    def __init__(self, lab: Lab) -> None:
        """Prepare; nothing is asked, and no thread runs, before the first page."""
        self._lab = lab
        self._redis, self._disk = _Asked("metrics", self._ask), _Asked("metrics-disk", self._ask_disk)

    def take(self, patience: float = PATIENCE) -> Reading:
        """Return what Redis says now: nothing when it does not answer in time."""
        return self._redis.answer(patience) or Reading()

    def disk(self, patience: float = PATIENCE) -> tuple[int, int] | None:
        """Return size and free bytes of the file system of ``data_dir``; None when it does not answer (a dead share)."""
        return self._disk.answer(patience)

    def _ask_disk(self) -> tuple[int, int] | None:
        try:
            said = shutil.disk_usage(self._lab.files.root)
        except OSError as error:
            log.debug("metrics: %s: %s", self._lab.files.root, error.strerror)
            return None
        return said.total, said.free

    def _ask(self) -> Reading:
        lab = self._lab
        info = _tried(lab.store.connection.info)
        if info is None:
            return Reading()
        return Reading(
            info,
            _tried(lab.board.nodes),
            _tried(lab.store.people.all),
            _tried(self._lag),
            _tried(lambda: lab.ledger.charged(now())) if lab.ledger.loaded else None,
            _tried(self._notices),
        )

    def _notices(self) -> Notices:
        notices, missed = self._lab.store.notices, self._lab.store.events.missed()
        young = notices.dead_since(now() - DAY)
        return Notices(*notices.waiting(), young, notices.alive() is not None, notices.counts(), missed)

    def _lag(self) -> float | None:
        board = self._lab.board
        if not board.loaded:
            return None
        newest = self._lab.store.events.last_id()
        if board.wait_for(newest, 0.0):
            return 0.0
        # The first part of an event's id is Redis' clock in milliseconds; ours may differ by as much as clocks do.
        return max(0.001, now() - id_key(newest)[0] / 1000)


def _tried(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except LabqError as error:
        log.debug("metrics: %s", error.what)
    except Exception:
        log.exception("metrics: a part cannot be read")
    return None
