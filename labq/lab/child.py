"""One child of the supervisor: started, watched, started again with pauses that grow, stopped."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

from labq.lab.record import Process

#: Seconds before the first restart; doubles with each, at most the last.
_PAUSES = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
#: A child that ran this long has recovered: the pauses begin anew.
_HEALTHY = 60.0


class Child:
    """A program with its log file.

    Attributes:
        name: "redis", "server" or "agent".
        log: the file that takes its output.
    """

    def __init__(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path, patience: float
    ) -> None:
        """Describe it.

        Args:
            name: for messages and up.json.
            argv: command line.
            env: environment.
            log: file that takes its output, appended to.
            patience: seconds between SIGTERM and SIGKILL.
        """
        self.name = name
        self.log = log
        self._argv, self._env, self._patience = list(argv), dict(env), patience
        self._popen: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._failures = 0
        self.process: Process | None = None
        self._restart_at = 0.0

    def start(self) -> None:
        """Start it, in a session of its own so that Ctrl-C reaches only the supervisor."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._argv, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd=self.log.parent,
            )  # fmt: skip
        self._began, self._restart_at = monotonic(), 0.0
        self.process = Process.of(self._popen.pid)

    def ended(self) -> int | None:
        """Return its exit status (negative: signal) when it has ended; None while it runs."""
        return None if self._popen is None else self._popen.poll()

    def restart_in(self) -> float | None:
        """Return in how many seconds to start it again, counting from its end; None while it runs."""
        if self.ended() is None:
            return None
        if not self._restart_at:
            self._failures = 0 if monotonic() - self._began > _HEALTHY else self._failures
            self._restart_at = monotonic() + _PAUSES[min(self._failures, len(_PAUSES) - 1)]
            self._failures += 1
        return max(0.0, self._restart_at - monotonic())

    def stop(self) -> None:
        """Ask it to end and wait; kill it when it does not."""
        if self._popen is None or self._popen.poll() is not None:
            return
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(self._patience)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def last_lines(self, count: int = 5) -> str:
        """Return the end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 8192))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in lines[-count:])
