"""The proxy as a program of its own in front of the tests' engine; the docker command line on it, as any person."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from docker import DockerClient
from support.daemon import Daemon
from support.engine import BUSYBOX, Engine
from support.people import Person
from support.waiting import wait_for

LABEL = ("--label", "labq.test=stamping")
#: The oldest command line that is met: Debian 12's, with BuildKit inside.
DOCKER = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"


def _log_in_as(uid: int) -> Callable[[], None]:
    """What pam_loginuid does at a login, for a process that is about to begin."""

    def write() -> None:
        Path("/proc/self/loginuid").write_text(str(uid))

    return write


class Proxy:
    """A running labq-docker-stamp."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.engine = engine
        self.engine_path = engine.host.removeprefix("unix://")
        self.path = directory / "docker.sock"
        self.key = directory / "state" / "stamp.key"
        self.host = f"unix://{self.path}"
        self._daemon = Daemon("stamp", directory)

    @property
    def pid(self) -> int:
        pid = self._daemon.pid
        assert pid is not None, self.log
        return pid

    @property
    def log(self) -> str:
        return self._daemon.log.read_text()

    def start(self) -> None:
        command = [sys.executable, "-m", "labq_exporter.stamping", "--listen", str(self.path)]
        more = ["--engine", self.engine_path, "--key", str(self.key), "--log-level", "debug", "--grace", "1"]
        self._daemon.start([*command, *more])
        wait_for(self.path.exists, 10, "the proxy to listen", hint=self._daemon.tail)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        return self._daemon.end(how)

    def popen(
        self,
        *command: str,
        person: Person | None = None,
        sudo: bool = False,
        cli: str = DOCKER,
        buildkit: str = "0",
    ) -> subprocess.Popen[bytes]:
        """Starts the docker command line on the proxy: as a person, or as root from that person's login."""
        return subprocess.Popen(
            [cli, *command],
            env=os.environ
            | {"DOCKER_HOST": self.host, "HOME": str(self.path.parent), "DOCKER_BUILDKIT": buildkit},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            user=person.uid if person and not sudo else None,
            extra_groups=[] if person and not sudo else None,
            preexec_fn=_log_in_as(person.uid) if person and sudo else None,
        )

    def docker(
        self,
        *command: str,
        person: Person | None = None,
        sudo: bool = False,
        feed: bytes = b"",
        status: int = 0,
        cli: str = DOCKER,
        buildkit: str = "0",
    ) -> str:
        """Runs the docker command line on the proxy and returns what it printed, both streams."""
        with self.popen(*command, person=person, sudo=sudo, cli=cli, buildkit=buildkit) as process:
            try:
                out, _ = process.communicate(feed, timeout=60)
            except BaseException:
                process.kill()
                raise
        assert process.returncode == status, f"{cli} {command}: {out!r}\n{self.log[-2000:]}"
        return out.decode(errors="replace")

    def run(
        self, *command: str, person: Person | None = None, sudo: bool = False, options: Sequence[str] = ()
    ) -> str:
        """`docker run -d` without a network; returns the container's id."""
        arguments = ["run", "-d", "--network=none", *LABEL, *options, BUSYBOX, *command]
        return self.docker(*arguments, person=person, sudo=sudo).strip()

    def labels(self, container: str) -> dict[str, str]:
        """The labels that the engine, asked directly, has for a container."""
        found = self.engine.client.api.inspect_container(container)["Config"]["Labels"]
        return dict(found or {})

    def client(self) -> DockerClient:
        return DockerClient(base_url=self.host, version="1.41", timeout=30)
