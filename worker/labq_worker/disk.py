"""How much of the node's disk jobs may have, and what each job that asked for disk has written there.

What is promised is a sum (``--disk`` of the jobs that run); what is free changes with everything else on the disk: logs,
images, jobs that did not say. So the node tells, from time to time, what can still be promised: what is free, and what
those that asked have written of theirs already, less a reserve.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from labq.clock import monotonic
from labq.errors import LabqError
from labq_worker.attempts import Attempt
from labq_worker.context import Context
from labq_worker.engine_errors import EngineError

log = logging.getLogger(__name__)
#: Left to the system, to images and to logs: a tenth of the file system, at most 50 GB.
RESERVE, RESERVE_PART = 50 * 2**30, 10
#: What is told changes only by more than this part of the reserve: each change is an event for the whole lab.
STEP_PART = 4
#: A look that takes long is followed by a pause of so many times its length.
BUSY_PART = 20


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes that one attempt wrote, by where they lie."""

    #: below the data directory: outputs and home
    files: int
    #: in the engine's directory: the container's own file system
    layer: int

    @property
    def all(self) -> int:
        """Return both."""
        return self.files + self.layer


def promisable(size: int, free: int, written: Iterable[int]) -> int:
    """Return the bytes of a file system that can be promised in all, those included that are promised now.

    Args:
        size: of the file system, bytes.
        free: of it, bytes.
        written: what each job that has a promise has used of it, bytes.
    """
    return max(0, free + sum(written) - reserve(size))


def reserve(size: int) -> int:
    """Return the bytes of a file system of ``size`` bytes that are promised to nobody."""
    return min(RESERVE, size // RESERVE_PART)


def used_below(root: Path) -> int:
    """Return the bytes of disk that files below a directory take; 0 when it is not there. Links are not followed."""
    total, seen, left = 0, set(), [os.fspath(root)]
    while left:
        try:
            entries = list(os.scandir(left.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
            except OSError:
                continue
            if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                if status.st_ino in seen:
                    continue
                seen.add(status.st_ino)
            total += status.st_blocks * 512
    return total


class DiskWatch:
    """Knows what can be promised, and stops who wrote more than was promised."""

    def __init__(
        self,
        context: Context,
        engine_root: str,
        stop: Callable[[Attempt], None],
    ) -> None:
        """Look once.

        Args:
            context: the agent's parts.
            engine_root: directory of the engine's files, as it tells; one that is not on this machine does not count.
            stop: stops an attempt that wrote too much.
        """
        self._context, self._stop = context, stop
        #: seconds until the next look
        self.pause = context.config.disk_interval
        self._data = context.config.data_dir
        # os.path: a directory that the agent may not look at is as good as one on another machine
        self._engine = Path(engine_root) if os.path.isdir(engine_root) else self._data
        #: bytes that jobs may have in all; None = it cannot be found out
        self.told: int | None = context.config.disk
        self.look()

    def look(self) -> None:
        """Measure who asked for disk, stop who has too much, and find out what can be promised."""
        began = monotonic()
        found = [self._checked(attempt) for attempt in self._context.attempts.all() if attempt.disk]
        if self._context.config.disk is None:
            self._tell([written for written in found if written is not None])
        self.pause = max(self._context.config.disk_interval, BUSY_PART * (monotonic() - began))

    def _checked(self, attempt: Attempt) -> Written | None:
        try:
            written = self._measure(attempt)
            if written.all > attempt.disk and attempt.started and not attempt.stopping:
                log.info("%s wrote %d bytes, more than its %d", attempt, written.all, attempt.disk)
                self._stop(attempt)
        except (EngineError, LabqError) as error:
            log.debug("%s: its disk: %s", attempt, error)
            return None
        return written

    def _measure(self, attempt: Attempt) -> Written:
        paths = self._context.paths
        folders = (paths.outputs(attempt.job_id, attempt.number), paths.home(attempt.job_id, attempt.number))
        files = sum(used_below(folder) for folder in folders)
        layer = self._context.engine.written(attempt.container) if attempt.container else 0
        return Written(files, layer)

    def _tell(self, written: list[Written]) -> None:
        try:
            one = self._data.stat().st_dev == self._engine.stat().st_dev
            if one:
                can, kept = self._of(self._data, (each.all for each in written))
            else:  # either may fill up first, and nobody said which a job will write to
                can, kept = min(
                    self._of(self._data, (each.files for each in written)),
                    self._of(self._engine, (each.layer for each in written)),
                )
        except OSError as error:
            log.warning("how much disk is free cannot be found out: %s", error)
            return
        if self.told is None or abs(can - self.told) > kept // STEP_PART:
            self.told = can

    @staticmethod
    def _of(root: Path, written: Iterable[int]) -> tuple[int, int]:
        usage = shutil.disk_usage(root)
        return promisable(usage.total, usage.free, written), reserve(usage.total)
