"""The supervisor in the background: it reports over a pipe until it is ready, then lives on its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from labq.errors import LabqError, UnavailableError, from_wire
from labq.lab import preflight
from labq.lab.plan import Plan


class Pipe:
    """The supervisor's end: lines, then "ready", or an error."""

    def __init__(self, descriptor: int) -> None:
        """Write to ``descriptor``, which is closed at the end."""
        os.set_inheritable(descriptor, False)
        self._file: TextIO | None = os.fdopen(descriptor, "w")

    def line(self, text: str) -> None:
        """Send a line for the person."""
        self._send({"line": text})

    def ready(self, _: bool) -> None:
        """Say that all is up, and close the pipe: whoever waits may go."""
        self._send({"ready": True})
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def error(self, error: LabqError) -> None:
        """Say why it did not work."""
        self._send(error.to_wire())

    def _send(self, body: object) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(body) + "\n")
            self._file.flush()
        except OSError:
            self._file = None  # whoever waited is gone; the lab is wanted all the same


def start(plan: Plan, report: Callable[[str], None]) -> int:
    """Start a supervisor in the background and wait until it is ready.

    Raises:
        LabqError: why it could not.
    """
    preflight.prepare_data_dir(plan.data_dir)
    read_end, write_end = os.pipe()
    log_path = plan.log_dir / "up.log"
    argv = [
        sys.executable,
        "-m",
        "labq",
        "up",
        "--data-dir",
        str(plan.data_dir),
        "--report-fd",
        str(write_end),
    ]
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            argv, env=_environment(plan), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            pass_fds=[write_end], start_new_session=True, cwd=plan.data_dir,
        )  # fmt: skip
    os.close(write_end)
    try:
        with os.fdopen(read_end) as pipe:
            for text in pipe:
                body = json.loads(text)
                if "line" in body:
                    report(str(body["line"]))
                elif "error" in body:
                    raise from_wire(body, 500)
                else:
                    return 0
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    raise UnavailableError("labq did not come up", f"the end of {log_path} says why")


def _environment(plan: Plan) -> dict[str, str]:
    """Return the environment that says the plan again: paths made absolute, and no secret in the arguments."""
    return {
        **os.environ,
        "LABQ_DATA_DIR": str(plan.data_dir),
        "LABQ_HOST": plan.host,
        "LABQ_PORT": str(plan.port),
        "LABQ_NODE": plan.node,
        "LABQ_GPUS": plan.gpus,
        "LABQ_REDIS_URL": plan.redis_url,
        "LABQ_MOUNTS": plan.mounts,
        "LABQ_NODE_LABELS": plan.labels,
    }
