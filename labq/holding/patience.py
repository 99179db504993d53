"""Questions that may never be answered: a home on an NFS server that is away, a directory service that hangs.

Each is asked in a thread of its own and waited for a moment. Who asks goes on with what was known before, and gets the
answer when it has come; without either he is told so, because "not known yet" is not "no". A thread that hangs in the
kernel cannot be ended; it is not asked again meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
#: Seconds that an answer is waited for; a disk or a directory service that is well needs milliseconds.
PATIENCE = 0.25
#: Questions that may hang at the same time; more are not asked.
MOST = 16
#: Answers kept; labels could ask for paths without end.
LIMIT = 8192


class NoAnswerYetError(Exception):
    """A question has no answer yet, and never had one."""


class Patience:
    """Answers, kept for a while. Safe to share between threads."""

    def __init__(self, kept: float, clock: Callable[[], float]) -> None:
        """Know nothing.

        Args:
            kept: seconds for which an answer is good.
            clock: seconds.
        """
        self._kept, self._clock = kept, clock
        self._answers: dict[Hashable, tuple[float, Any]] = {}
        self._asking: dict[Hashable, threading.Event] = {}
        self._lock = threading.Lock()

    def ask(self, key: Hashable, question: Callable[[], T]) -> T:
        """Return the answer; while it does not come, the one before.

        Args:
            key: of the question.
            question: may itself raise :class:`NoAnswerYetError`; then it is asked again at the next call.

        Raises:
            NoAnswerYetError: it has not come, and there is none before.
            Whatever else the question raised, when it did so in time.
        """
        with self._lock:
            known = self._answers.get(key)
            if (
                (known is not None and self._clock() < known[0])
                or key in self._asking
                or len(self._asking) >= MOST
            ):
                kept: T = _answer(known)
                return kept
            come = self._asking[key] = threading.Event()
        failures: list[BaseException] = []
        # A thread of its own each: one that hangs keeps no other question waiting.
        threading.Thread(
            target=self._work, args=(key, question, come, failures), name="accounts", daemon=True
        ).start()
        in_time = come.wait(PATIENCE)
        if in_time and failures and not isinstance(failures[0], NoAnswerYetError):
            raise failures[0]
        with self._lock:
            found: T = _answer(self._answers.get(key))
        return found

    def _work(
        self,
        key: Hashable,
        question: Callable[[], object],
        come: threading.Event,
        failures: list[BaseException],
    ) -> None:
        try:
            answer = question()
            with self._lock:
                if len(self._answers) >= LIMIT:
                    self._answers.clear()
                self._answers[key] = (self._clock() + self._kept, answer)
        except Exception as error:  # noqa: BLE001 - it is raised where the question was asked
            failures.append(error)
        finally:
            with self._lock:
                self._asking.pop(key, None)
            come.set()


def _answer(known: tuple[float, Any] | None) -> Any:
    if known is None:
        raise NoAnswerYetError
    return known[1]
