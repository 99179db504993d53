"""`labq up --detach` and `labq down` for real: a private engine, an embedded Redis, simulated GPUs."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.cli.conftest import LABQ
from support.engine import Engine
from support.lab import free_port
from support.waiting import wait_for


class Up:
    """A data directory, a port, and `labq` commands on them."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port = free_port()
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith(("LABQ_", "XDG_", "SUDO_"))
        }
        self.env = clean | {"HOME": str(directory), "DOCKER_HOST": engine.host, "NO_COLOR": "1"}

    def labq(self, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(LABQ), *argv], env=self.env | env, cwd=self.directory, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=60, check=False,
        )  # fmt: skip

    def up(self, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        place = ["--data-dir", str(self.data), "--port", str(self.port), "--node", "n1"]
        return self.labq("up", "--detach", *place, *argv, **env)

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.labq("down", "--data-dir", str(self.data))

    def pids(self) -> dict[str, int]:
        body = json.loads((self.data / "up.json").read_text())
        return {"up": body["supervisor"][0], **{name: pid for name, (pid, _) in body["children"].items()}}


@pytest.fixture
def lab(engine: Engine) -> Iterator[Up]:
    """Not in pytest's own directory: its path is too long for a socket."""
    engine.start()
    directory = Path(tempfile.mkdtemp(prefix="labq-up-"))
    made = Up(engine, directory)
    yield made
    made.down()
    shutil.rmtree(directory)


def test_up_down_and_what_a_person_sees(lab: Up) -> None:
    done = lab.up("--gpus", "sim:1xRTX-4090-24GB", "--labels", "rack=a")
    assert done.returncode == 0, done.stderr
    assert f"labq is up: http://127.0.0.1:{lab.port}" in done.stdout
    assert "1x RTX 4090 (24GB); SIMULATED" in done.stdout
    token = (lab.data / "token").read_text().strip()
    assert token not in done.stdout + done.stderr
    for name in ("token", "node-token", "config.toml"):
        assert (lab.data / name).stat().st_mode & 0o777 == 0o600
    assert lab.data.stat().st_mode & 0o777 == 0o700
    (node,) = json.loads(lab.labq("nodes", "--json").stdout)  # the configuration was written
    assert (node["name"], node["labels"], node["gpus"][0]["simulated"]) == ("n1", {"rack": "a"}, True)
    doctor = lab.labq("doctor")
    assert doctor.returncode == 0, doctor.stdout

    again = lab.up()
    assert (again.returncode, "already up" in again.stdout) == (0, True)

    down = lab.down()
    assert (down.returncode, "labq is down" in down.stdout) == (0, True), down.stderr
    assert not (lab.data / "up.json").exists()
    assert "does not run here" in lab.down().stdout
    assert lab.labq("ls").returncode == 69
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", lab.port))


def test_a_killed_supervisor_leaves_nothing_that_the_next_does_not_take_over(lab: Up) -> None:
    assert lab.up("--gpus", "sim:1xRTX-4090-24GB").returncode == 0
    before = lab.pids()
    token = (lab.data / "token").read_text()
    submitted = lab.labq("submit", "--image", "none/such:1", "--not-before", "9h", "-q")
    os.kill(before["up"], signal.SIGKILL)
    assert lab.labq("ls").returncode == 0  # server and Redis live on
    done = lab.up("--gpus", "sim:1xRTX-4090-24GB")
    assert done.returncode == 0, done.stderr
    after = lab.pids()
    assert not set(before.values()) & set(after.values())
    wait_for(lambda: all(_is_gone(pid) for pid in before.values()), 5, f"the processes {before} to be gone")
    assert (lab.data / "token").read_text() == token
    assert lab.labq("ls", "--ids").stdout == submitted.stdout


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_part_that_dies_comes_back(lab: Up) -> None:
    assert lab.up("--gpus", "none").returncode == 0
    for name in ("server", "redis"):
        _kill_and_wait(lab, name)
    log = (lab.data / "log" / "up.log").read_text()
    assert "the server ended (status -9); starting it again in 0.5 s" in log


def _kill_and_wait(lab: Up, name: str) -> None:
    old = lab.pids()[name]
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: lab.pids()[name] != old, 10, f"{name} to be started again")
    wait_for(lambda: lab.labq("ls").returncode == 0, 20, "the server to answer", interval=0.2)


def test_whoever_closes_the_pipe_early_gets_a_lab_all_the_same(lab: Up) -> None:
    place = f"--data-dir {lab.data} --port {lab.port}"
    program = f"{LABQ} up --detach {place} --gpus none | head -n 1"
    done = subprocess.run(
        ["bash", "-c", program], env=lab.env, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("labq is up")
    assert done.stderr == ""
    wait_for(lambda: lab.labq("ls").returncode == 0, 10, "the lab to answer", interval=0.2)


def test_what_is_missing_is_one_clear_sentence(lab: Up) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", lab.port))
        taken.listen()
        done = lab.up()
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: port {lab.port} on 127.0.0.1 is taken")
    assert f"--port {lab.port + 1}" in done.stderr
    done = lab.up(DOCKER_HOST=f"unix://{lab.directory}/none.sock")
    assert done.returncode == 69
    assert "no Docker engine answers" in done.stderr
    assert not list(lab.data.rglob("*.aof"))
    done = lab.up("--redis-url", "unix:///nowhere/redis.sock")
    assert done.returncode == 69
    assert "Redis does not answer" in done.stderr
    for failed in (done,):
        assert "Traceback" not in failed.stderr + failed.stdout
    assert not (lab.data / "up.json").exists()
