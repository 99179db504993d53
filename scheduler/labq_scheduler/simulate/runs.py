"""Replays, as many at a time as there are cores; each reports how far it is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from ctypes import c_int64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labq.errors import LabqError
from labq_scheduler.simulate.measures import HOUR, Measures, measure
from labq_scheduler.simulate.replay import Replay
from labq_scheduler.simulate.shake import shaken
from labq_scheduler.simulate.traces import TraceJob
from labq_scheduler.simulate.variants import Variant

if TYPE_CHECKING:
    from ctypes import Array

#: Seconds between two looks at how far replays are.
LOOK = 0.2
#: Hours at which the picture says which part of the jobs had started: from 36 s to 10,000 h, 20 to a factor of ten.
GRID = tuple(10 ** (-2 + step / 20) for step in range(121))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one replay."""

    measures: Measures
    #: jobs that had waited at most so long, for each of ``GRID``
    started: tuple[int, ...]
    jobs: int


@dataclass(frozen=True, slots=True)
class Work:
    """What all replays share."""

    variants: Sequence[Variant]
    trace: Sequence[TraceJob]
    #: 0 = one replay of the jobs just as they came
    shake: int
    seed: int

    @property
    def repeats(self) -> int:
        """Return how many replays each variant gets."""
        return max(1, self.shake)

    @property
    def total(self) -> int:
        """Return the number of replays."""
        return len(self.variants) * self.repeats

    def replay(self, number: int, report: Callable[[int], None]) -> Outcome:
        """Return what came of the replay of that number; ``report`` is told how many jobs started."""
        variant, repeat = self.variants[number // self.repeats], number % self.repeats
        trace = shaken(self.trace, self.seed, repeat) if self.shake else list(self.trace)
        policy = variant.made()
        replay = Replay(
            variant.nodes, policy.rules, policy.estimator(trace), name_each=policy.name_each,
            watch=lambda _, starts: report(len(starts)),
        )  # fmt: skip
        ran = replay.run(trace)
        waits = sorted(row.waited / HOUR for row in ran)
        started = tuple(bisect_right(waits, hours) for hours in GRID)
        return Outcome(measure(ran, variant.gpus), started, len(ran))


def replay_all(work: Work, progress: Callable[[int, int], None], workers: int) -> list[list[Outcome]]:
    """Return the outcomes of each variant.

    Args:
        work: what is to be replayed.
        progress: told (jobs started, replays over) now and then.
        workers: processes at a time; 1 = in this one.

    Raises:
        LabqError: a process of ours was killed.
    """
    found: list[Outcome] = []
    if min(workers, work.total) <= 1:
        started = 0

        def report(more: int) -> None:
            nonlocal started
            started += more
            progress(started, len(found))

        for number in range(work.total):
            found.append(work.replay(number, report))  # noqa: PERF401 # progress looks at it
    else:
        found = _in_processes(work, progress, min(workers, work.total))
    progress(work.total * len(work.trace), work.total)
    each = work.repeats
    return [found[start : start + each] for start in range(0, len(found), each)]


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_processes(work: Work, progress: Callable[[int, int], None], workers: int) -> list[Outcome]:
    context = multiprocessing.get_context()
    counts = context.RawArray(c_int64, work.total)
    with ProcessPoolExecutor(workers, context, _begin, (work, counts)) as pool, _ended_with_us():
        with _no_interrupt():
            futures: list[Future[Outcome]] = [pool.submit(_one, number) for number in range(work.total)]
        left = set(futures)
        try:
            while left:
                done, left = wait(left, LOOK, FIRST_COMPLETED)
                for future in done:
                    future.result()
                progress(sum(counts), work.total - len(left))
        except BrokenProcessPool:
            raise LabqError(
                "a process that replayed was killed", "look for a lack of memory (dmesg); replay fewer jobs"
            ) from None
        return [future.result() for future in futures]


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Let Ctrl-C wait while processes are made: half-made ones would end with a traceback, or not at all.

    They inherit that they are not interrupted: this process ends them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


@contextmanager
def _ended_with_us() -> Iterator[None]:
    """End our processes at once when we are interrupted or fail: a replay asks nobody for minutes."""
    try:
        yield
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise


# -- in the processes ---------------------------------------------------------------------------------

_shared: tuple[Work, Array[c_int64]]


def _begin(work: Work, counts: Array[c_int64]) -> None:
    global _shared
    _shared = (work, counts)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _one(number: int) -> Outcome:
    work, counts = _shared

    def report(more: int) -> None:
        counts[number] += more

    return work.replay(number, report)
