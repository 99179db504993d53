"""What a backup asks of compose and Docker."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from labq.errors import InternalError

_DUMP = "labq-backup.rdb"
_LOG_IN = "export REDISCLI_AUTH=$(sed -n 's/^requirepass //p' /run/secrets/redis_auth)"


class Stack:
    """The containers of one control machine."""

    def __init__(self, directory: Path) -> None:
        """Use the files of compose in ``directory``, and its ``compose-run`` where the role control wrote one."""
        self.directory = directory
        own = directory / "compose-run"
        self._compose = [str(own)] if own.exists() else ["docker-compose"]

    def compose(self, *words: str) -> str:
        """Run compose; return what it printed."""
        return self._run([*self._compose, *words])

    def volume(self, name: str) -> Path | None:
        """Return where a volume's files are on this machine; None when there is no such volume."""
        labels = (
            f"label=com.docker.compose.project={self.project()}",
            f"label=com.docker.compose.volume={name}",
        )
        names = self._run(
            ["docker", "volume", "ls", "--quiet", "--filter", labels[0], "--filter", labels[1]]
        ).split()
        if not names:
            return None
        return Path(json.loads(self._run(["docker", "volume", "inspect", names[0]]))[0]["Mountpoint"])

    def project(self) -> str:
        """Return compose's name for the stack."""
        for line in (self.directory / ".env").read_text().splitlines():
            if line.startswith("COMPOSE_PROJECT_NAME="):
                return line.partition("=")[2].strip("'\" ")
        return self.directory.name

    def running(self) -> set[str]:
        """Return the services that run."""
        form = '{{.Label "com.docker.compose.service"}}'
        return set(
            self._run(
                [
                    "docker",
                    "ps",
                    "--filter",
                    f"label=com.docker.compose.project={self.project()}",
                    "--format",
                    form,
                ]
            ).split()
        )

    def dump_redis(self) -> Path:
        """Have Redis write all it knows into a file of its volume, checked by its own program; return the file.

        Redis goes on working: it sends the copy as it would to a replica.
        """
        script = (
            f"set -e; {_LOG_IN}; rm -f /data/{_DUMP}; redis-cli --rdb /data/{_DUMP} >&2; "
            f"redis-check-rdb /data/{_DUMP} >&2"
        )
        self.compose("exec", "-T", "redis", "sh", "-c", script)
        volume = self.volume("redis")
        if volume is None:
            raise InternalError("Redis has no volume", f"look at docker-compose.yml in {self.directory}")
        return volume / _DUMP

    def held_jobs(self) -> int | None:
        """Return how many jobs hold something on a node now; None when Redis does not answer."""
        script = (
            f"{_LOG_IN}; for node in $(redis-cli --raw smembers labq:nodes); do "
            'redis-cli --raw hlen "labq:leases:$node"; done'
        )
        if "redis" not in self.running():
            return None
        return sum(map(int, self.compose("exec", "-T", "redis", "sh", "-c", script).split()))

    def stop(self, services: Sequence[str]) -> None:
        """Stop services."""
        self.compose("stop", *services)

    def start(self, services: Sequence[str]) -> None:
        """Start services that were stopped."""
        self.compose("up", "-d", "--no-build", *services)

    def restart_provisioner(self) -> None:
        """Have labq-provisioner read Redis' password anew, if it runs; runs that it began go on."""
        if shutil.which("systemctl") is not None:
            # One that is not there, or a machine that was not started by systemd, is no fault.
            command = ["systemctl", "try-restart", "labq-provisioner.service"]
            subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)

    def _run(self, command: Sequence[str]) -> str:
        done = subprocess.run(
            command, cwd=self.directory, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode != 0:
            raise InternalError(
                f"{' '.join(command[:4])} …: {done.stderr.strip()[-600:]}", f"look at it: cd {self.directory}"
            )
        return done.stdout
