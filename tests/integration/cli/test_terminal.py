"""Verbs on a terminal: the bar of an upload, and `labq top`."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from integration.cli.conftest import LABQ, project
from integration.cli.fake import FakeServer
from support.waiting import wait_for


class Terminal:
    """A process on a terminal of 100 columns; `text` is what it showed so far."""

    def __init__(self, argv: list[str], env: Mapping[str, str], cwd: Path) -> None:
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        clean = {key: value for key, value in env.items() if key not in {"NO_COLOR", "COLUMNS"}} | {
            "TERM": "xterm"
        }
        self.process = subprocess.Popen(
            argv, env=clean, cwd=cwd, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.text = ""

    def read(self) -> str:
        with contextlib.suppress(OSError):
            self.text += os.read(self._master, 1 << 16).decode(errors="replace")
        return self.text

    def see(self, part: str) -> None:
        wait_for(lambda: part in self.read(), 15, f"{part!r} on the terminal", hint=lambda: self.text)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def end(self) -> int:
        try:
            status = self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
        self.read()
        os.close(self._master)
        return status


def test_a_bar_shows_packing_and_uploading(
    submitting: FakeServer, labq_env: Mapping[str, str], tmp_path: Path
) -> None:
    project(tmp_path / "p", size=5_000_000)
    terminal = Terminal([str(LABQ), "submit", "p"], labq_env, tmp_path)
    terminal.see("job 12 queued")
    assert terminal.end() == 0
    for part in ("packing    [####", "uploading  [########################] 100%", "4.77MB of 4.77MB"):
        assert part in terminal.text


@pytest.mark.parametrize("how", ["q", "Ctrl-C"])
def test_top_refreshes_until_it_is_left_and_restores_the_terminal(
    server: FakeServer, labq_env: Mapping[str, str], tmp_path: Path, how: str
) -> None:
    gpu = {
        "node": "n1", "index": 0, "uuid": "G", "model": "RTX 4090", "memory": 2**34, "simulated": True, "fault": "",
        "memory_used": None, "utilization": None, "temperature": None, "power": None, "holders": [],
    }  # fmt: skip
    server.add_json("GET", "/v1/gpus", [gpu])
    terminal = Terminal([str(LABQ), "top"], labq_env, tmp_path)
    terminal.see("\x1b[?1049h")
    terminal.see("RTX 4090 (sim)")
    if how == "q":
        terminal.press(b"q")
    else:
        terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 0
    assert terminal.text.endswith("\x1b[?25h\x1b[?1049l")


def test_python_m_labq_is_labq(server: FakeServer, labq_env: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labq", "version"],
        env=dict(labq_env),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("labq ")
