"""One run at a time on a host: a lock on a file for each, which ends with the process that holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote


class HostLocks:
    """The locks of one run. Taken in one order by everybody, so that no two runs wait for each other."""

    def __init__(self, directory: Path, hosts: Sequence[str], run_id: str) -> None:
        """Prepare; nothing is taken yet.

        Args:
            directory: of the locks.
            hosts: whose locks are wanted.
            run_id: is left in the file for whoever waits.
        """
        self._directory, self._run_id = directory, run_id
        self._wanted = sorted(set(hosts))
        self._held: list[int] = []
        #: runs that ended without letting go of a host that is ours now: their drivers were killed
        self.left: list[str] = []

    def take(self) -> dict[str, str]:
        """Take what can be taken now; return host -> run that holds it of the first that cannot; {} = all are held."""
        while len(self._held) < len(self._wanted):
            host = self._wanted[len(self._held)]
            path = self._directory / quote(host, safe=":")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 100, 0).decode(errors="replace")
                os.close(descriptor)
                return {host: holder}
            before = os.pread(descriptor, 100, 0).decode(errors="replace")
            if before and before not in self.left:
                self.left.append(before)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, self._run_id.encode(), 0)
            self._held.append(descriptor)
        return {}

    def release(self) -> None:
        """Let go of all."""
        for descriptor in self._held:
            os.ftruncate(descriptor, 0)
            os.close(descriptor)
        self._held = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of all."""
        self.release()


class Alive:
    """The lock by which a run's driver is known to live."""

    def __init__(self, directory: Path) -> None:
        """Prepare.

        Args:
            directory: of the run.
        """
        self._path = directory / "alive"
        self._descriptor = -1

    def take(self) -> bool:
        """Take it, for the life of this process; return False when another process has it."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._lock()

    def held(self) -> bool:
        """Return whether a process has it: the run has a driver, which works or waits."""
        if not self._path.exists():
            return False
        if free := self._lock():
            self.release()
        return not free

    def _lock(self) -> bool:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)
        self._descriptor = -1
