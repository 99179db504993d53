"""A program that runs in the background of the tests, and may be stopped, killed and started again."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.waiting import wait_for


class Daemon:
    """One background program; its process id is on disk, so a later test run can find it again.

    Attributes:
        name: What messages, the pid file and the log are called.
        log: Where both of its output streams go.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._pidfile = directory / f"{name}.started"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, or None when it does not run."""
        if self._process is not None:
            return self._process.pid if self._process.poll() is None else None
        try:
            pid, born = self._pidfile.read_text().split()
            return int(pid) if _born(int(pid)) == born else None
        except (OSError, ValueError):
            return None

    def start(
        self, command: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        """Starts it, unless it runs, in a session of its own: Ctrl-C in pytest is not meant for it."""
        if self.pid is not None:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pidfile.write_text(f"{self._process.pid} {_born(self._process.pid)}")

    def end(self, how: signal.Signals = signal.SIGTERM, timeout: float = 30) -> int | None:
        """Sends it a signal and waits for its end; SIGKILL follows a SIGTERM that was not heeded.

        Returns:
            Its exit code where this run started it (negative: a signal), else None.
        """
        if (pid := self.pid) is None:
            return self._process.returncode if self._process is not None else None
        os.kill(pid, how)
        try:
            wait_for(lambda: self.pid is None, timeout, f"{self.name} (pid {pid}) to end", hint=self.tail)
        except AssertionError:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: self.pid is None, 10, f"{self.name} (pid {pid}) to be killed")
            raise
        return self._process.returncode if self._process is not None else None

    def tail(self, lines: int = 25) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return f"({self.name} has written no log)"
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"--- {self.log}", *text])


def _born(pid: int) -> str:
    """The start time of a living process, so that a reused pid is told from ours; "" for a dead one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]
