"""A forecast of a long queue, made by a process of its own.

To think ahead of thousands of jobs takes seconds of pure Python. A thread of the server would have to share the interpreter
with the loop that decides and with everybody's requests; a process of low priority does not. One process for one question:
there is nothing to keep in step, it takes no memory while nobody asks, and its death costs one answer.
"""

from __future__ import annotations

import contextlib
import os
import pickle  # between a parent and its own child
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass

from labq.clock import monotonic
from labq.errors import UnavailableError
from labq_scheduler.forecast.ahead import Now
from labq_scheduler.forecast.outlook import FUTURES, Forecast, forecast
from labq_scheduler.policy.rules import Rules
from labq_scheduler.snapshot import Snapshot

#: Of the process: whoever else wants the processor goes first.
NICENESS = 10
#: Seconds beyond its budget after which the process hangs: to start, read the question and end takes one or two.
SLACK = 30.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found out."""

    snapshot: Snapshot
    rules: Rules
    #: seconds that it may take; what was not reached by then starts "later than"
    budget: float
    #: jobs; empty = all that wait
    wanted: tuple[str, ...] = ()
    futures: int = FUTURES


News = Callable[[Forecast], None]


def answer(
    question: Question, go_on: Callable[[], bool] = lambda: True, news: News = lambda found: None
) -> Forecast:
    """Return the forecast, here and now.

    Args:
        question: what is asked.
        go_on: asked before each decision; False ends it early.
        news: told what is known after each future.
    """
    end = monotonic() + question.budget
    return forecast(
        Now.of(question.snapshot, question.rules), question.wanted, futures=question.futures,
        go_on=lambda: monotonic() < end and go_on(), news=news,
    )  # fmt: skip


class Apart:
    """Asks a process of its own for each question. Use it from any thread."""

    def __init__(self) -> None:
        """Begin without one."""
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def __call__(self, question: Question, news: News = lambda found: None) -> Forecast:
        """Return the answer; it takes a second more than the budget at most.

        Args:
            question: what is asked.
            news: told what is known after each future.

        Raises:
            UnavailableError: the process ended without one, or this was stopped.
        """
        process = self._begin()
        killer = threading.Timer(question.budget + SLACK, process.kill)
        killer.daemon = True
        killer.start()
        try:
            said = _exchange(process, question, news)
        finally:
            killer.cancel()
            process.kill()
            status = process.wait()
            with self._lock:
                self._running.discard(process)
        if said is None:
            raise UnavailableError(
                f"the process that thinks ahead ended without an answer (status {status})",
                "the server's log says why; memory that runs out is the usual reason",
            )
        return said

    def running(self) -> list[int]:
        """Return the ids of the processes that run."""
        with self._lock:
            return [process.pid for process in self._running]

    @staticmethod
    def environment() -> dict[str, str]:
        """Return the variables of a process: it needs none of the server's secrets."""
        return {name: value for name, value in os.environ.items() if not name.startswith("LABQ_")}

    def stop(self) -> None:
        """End the processes that run, and begin none any more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _begin(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise UnavailableError("the server is stopping", "ask again when it is back")
            # -P: nothing is imported from the directory that the server was started in
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "labq_scheduler.forecast_apart"],
                env=self.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            self._running.add(process)
        return process


def _exchange(process: subprocess.Popen[bytes], question: Question, news: News) -> Forecast | None:
    """Return the last that the process said before it ended well."""
    said: Forecast | None = None
    assert process.stdin is not None  # noqa: S101 - for the type checker
    assert process.stdout is not None  # noqa: S101 - for the type checker
    with process.stdout, contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
        with process.stdin:
            pickle.dump(question, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        while isinstance(found := pickle.load(process.stdout), Forecast):  # noqa: S301 - our own child wrote it
            said = found
            news(said)
        return said  # what comes last is no forecast
    return None


def main() -> None:
    """Read a question, write its answer."""
    question: Question = pickle.load(sys.stdin.buffer)  # noqa: S301 - the server wrote it
    with contextlib.suppress(OSError):  # systemd's filter of system calls may forbid it
        os.nice(NICENESS)
    out = sys.stdout.buffer

    def write(found: Forecast | None) -> None:
        pickle.dump(found, out, protocol=pickle.HIGHEST_PROTOCOL)
        out.flush()

    answer(question, news=write)
    write(None)


if __name__ == "__main__":
    main()
