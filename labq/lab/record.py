"""``up.json``: the processes of a running lab.

A process is its id and its start time, so that an id that the system has given to somebody else is never signalled.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

NAME, LOCK = "up.json", "up.lock"


@dataclass(frozen=True, slots=True)
class Process:
    """A process that was started once."""

    pid: int
    #: clock ticks since boot at which it was started
    started: int

    @staticmethod
    def of(pid: int) -> Process:
        """Return the process that has this id now."""
        return Process(pid, _start_time(pid) or 0)

    def alive(self) -> bool:
        """Return whether this very process still runs (a zombie does not)."""
        return self.pid > 0 and self.started > 0 and _start_time(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end(self, patience: float) -> None:
        """Ask it to end, wait so many seconds, then kill it."""
        self.signal(signal.SIGTERM)
        if not self.wait(patience):
            self.signal(signal.SIGKILL)
            self.wait(5.0)

    def wait(self, seconds: float) -> bool:
        """Return whether it has ended within so many seconds."""
        deadline = monotonic() + seconds
        while self.alive():
            if monotonic() >= deadline:
                return False
            sleep(0.05)
        return True


def _start_time(pid: int) -> int | None:
    try:
        # The name in parentheses may hold anything, so count from its end.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True, slots=True)
class Record:
    """What up.json says."""

    server: str
    supervisor: Process
    #: "redis", "server", "agent"
    children: Mapping[str, Process]

    def write(self, data_dir: Path) -> None:
        """Write it at once: no reader ever sees half of it."""
        body = {
            "server": self.server,
            "supervisor": _to_json(self.supervisor),
            "children": {name: _to_json(child) for name, child in self.children.items()},
        }
        new = data_dir / f"{NAME}.new"
        new.write_text(json.dumps(body, indent=1) + "\n")
        new.replace(data_dir / NAME)


def read(data_dir: Path) -> Record | None:
    """Return what runs, or ran last, with this data directory; None when nobody wrote it down."""
    try:
        body = json.loads((data_dir / NAME).read_text())
        children = {name: _from_json(child) for name, child in body["children"].items()}
        return Record(str(body["server"]), _from_json(body["supervisor"]), children)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def forget(data_dir: Path) -> None:
    """Remove up.json: nothing runs."""
    (data_dir / NAME).unlink(missing_ok=True)


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[bool]:
    """Hold the lab's lock; yields False when another supervisor holds it. Ends with the process, however it ends."""
    descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _to_json(process: Process) -> list[int]:
    return [process.pid, process.started]


def _from_json(body: Any) -> Process:
    return Process(int(body[0]), int(body[1]))
