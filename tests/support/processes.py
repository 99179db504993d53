"""Finding the processes that belong to one lab, however they came to be and whoever their parent is now."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from support.waiting import wait_for

#: Every process of a lab inherits this variable; its value tells one lab from another.
MARK = "TEST_LAB_ID"


@dataclass(frozen=True)
class Process:
    """A living process."""

    pid: int
    command: str


def belonging(mark: str, home: Path) -> list[Process]:
    """The living processes that inherited the mark or work below a directory, oldest first.

    Args:
        mark: What the variable MARK must be.
        home: For those that lost their environment: redis-server overwrites it with its title.
    """
    wanted = f"{MARK}={mark}".encode()
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            inherited = wanted in (directory / "environ").read_bytes().split(b"\0")
            if inherited or (directory / "cwd").readlink().is_relative_to(home):
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(Process(int(directory.name), command.strip()))
        except OSError:
            continue  # it ended meanwhile, or is not ours to look at
    return sorted(found, key=lambda process: process.pid)


def end(processes: list[Process], how: signal.Signals = signal.SIGKILL, timeout: float = 20) -> None:
    """Sends each a signal and waits until none of them lives."""
    for process in processes:
        try:
            os.kill(process.pid, how)
        except ProcessLookupError:
            continue
    wait_for(lambda: not any(_lives(p) for p in processes), timeout, f"these to end: {processes}")


def _lives(process: Process) -> bool:
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text()
    except OSError:
        return False
    # A zombie is dead: whoever adopted it may take its time to bury it.
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
