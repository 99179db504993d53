"""A Docker engine for the tests alone, which they may stop, kill and restart.

Its data root stays between runs, so images are loaded once. engine_fixtures.py starts and ends it.
"""

import os
import signal
import socket
import subprocess
from pathlib import Path

import docker

from support.daemon import Daemon
from support.subnet import Bridge
from support.waiting import wait_for

STATE = Path("/run/labq-test")
DATA = Path("/var/lib/labq-test")
#: Containers with one of these labels are ours to remove.
LABELS = ("labq.job", "labq.test")
BUSYBOX = "labq-test/busybox:latest"
# docker's NVIDIA driver is on when this program is on dockerd's PATH; the real one, too, gets the container's state
# on its standard input. This one lets every GPU through, so the engine takes the real path without one.
HOOK_NAME = "nvidia-container-runtime-hook"
HOOK = "#!/bin/sh\nexec cat >/dev/null\n"


class Engine:
    """A private dockerd: `host` is its address, `env()` makes docker and labq use it."""

    def __init__(self, slot: int) -> None:
        self.directory = STATE / str(slot)
        self.data = DATA / str(slot)
        self.host = f"unix://{self.directory}/docker.sock"
        self.bridge = Bridge(f"labqtest{slot}", slot)
        # A containerd of our own, as on a real machine: one that dockerd starts would die with it.
        self._containerd = Daemon("containerd", self.directory)
        self._dockerd = Daemon("dockerd", self.directory)
        self._client: docker.DockerClient | None = None

    def env(self) -> dict[str, str]:
        """The environment in which docker, its SDK and labq use this engine."""
        return os.environ | {"DOCKER_HOST": self.host}

    @property
    def client(self) -> docker.DockerClient:
        """A client of this engine; kept open until the end, so do not close it."""
        if self._client is None:
            self._client = docker.DockerClient(base_url=self.host, version="1.41", timeout=60)
        return self._client

    @property
    def pid(self) -> int | None:
        """The process id of dockerd, or None when it does not run."""
        return self._dockerd.pid

    def answers(self) -> bool:
        """Is it up? Asked by hand: the SDK leaks its socket when nobody listens."""
        try:
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(5)
                line.connect(str(self.directory / "docker.sock"))
                line.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 OK" in line.recv(100)
        except OSError:
            return False

    def start(self) -> None:
        """Starts the daemon, unless it answers already, and waits for it."""
        if self.answers():
            return
        self.bridge.up()
        hooks, settings = self.directory / "bin", self.directory / "daemon.json"
        hooks.mkdir(parents=True, exist_ok=True)
        (hooks / HOOK_NAME).write_text(HOOK)
        (hooks / HOOK_NAME).chmod(0o755)
        settings.write_text("{}")  # not the machine's own
        self.data.mkdir(parents=True, exist_ok=True)
        env = os.environ | {"PATH": f"{hooks}:{os.environ['PATH']}:/usr/local/sbin:/usr/sbin:/sbin"}
        address = self._start_containerd(env)
        command = [
            "dockerd", "--config-file", str(settings), "--host", self.host, "--containerd", address,
            "--data-root", str(self.data / "docker"), "--exec-root", str(self.directory / "exec"),
            "--pidfile", str(self.directory / "docker.pid"), "--bridge", self.bridge.name, "--iptables=false",
            "--live-restore",
        ]  # fmt: skip
        if self.pid is None:
            # dockerd refuses to start while the process in its pid file exists, even as a zombie.
            (self.directory / "docker.pid").unlink(missing_ok=True)
        self._dockerd.start(command, env)
        wait_for(self.answers, 60, "the test engine to answer", interval=0.1, hint=self._dockerd.tail)

    def _start_containerd(self, env: dict[str, str]) -> str:
        address = self.directory / "containerd.sock"
        config = self.directory / "containerd.toml"
        config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        self._containerd.start(
            [
                "containerd", "--config", str(config), "--address", str(address),
                "--root", str(self.data / "containerd"), "--state", str(self.directory / "containerd"),
            ],
            env,
        )  # fmt: skip
        wait_for(address.exists, 20, "containerd to listen", hint=self._containerd.tail)
        return str(address)

    def stop(self) -> None:
        """Stops the daemon as a service manager does; its containers run on (live-restore)."""
        self._dockerd.end(signal.SIGTERM, 60)

    def kill(self) -> None:
        """Ends the daemon with SIGKILL; its containers run on."""
        self._dockerd.end(signal.SIGKILL)

    def restart(self) -> None:
        """Stops and starts the daemon; its containers run on."""
        self.stop()
        self.start()

    def docker(self, *arguments: str, check: bool = True) -> str:
        """Runs the docker command line against this engine and returns what it printed, both streams."""
        result = subprocess.run(
            ["docker", *arguments],
            env=self.env(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert result.returncode == 0 or not check, f"docker {' '.join(arguments)}: {result.stdout}"
        return result.stdout

    def remove_containers(self) -> None:
        """Removes every container that a test or a job made, running or not, with its volumes."""
        for label in LABELS:
            for found in self.client.api.containers(all=True, filters={"label": label}):
                try:
                    self.client.api.remove_container(found["Id"], v=True, force=True)
                except docker.errors.APIError as error:
                    # Someone else, a labq that is just being stopped, may remove the same one.
                    if error.status_code not in {404, 409}:
                        raise

    def log_tail(self) -> str:
        """The last lines of the daemon's log."""
        return self._dockerd.tail()

    def close(self) -> None:
        """Ends it all; the images stay on disk for the next run."""
        if self.answers():
            self.remove_containers()
        self.stop()
        self._containerd.end()
        # dockerd mounts its data root onto itself, and after a kill nobody undoes that.
        while f" {self.data}/docker " in Path("/proc/mounts").read_text():
            subprocess.run(["umount", self.data / "docker"], check=True)
        if self._client is not None:
            self._client.close()
        self.bridge.down()
