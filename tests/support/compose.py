"""docker-compose.yml as it is, on the private engine, with stand-ins for the images that a registry would give."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from support.engine import Engine
from support.lab import free_port
from support.need import need

REPO = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
BASE = "python:3.11-slim"
STANDINS = REPO / "tests" / "integration" / "compose" / "standins"
OURS = ("scheduler", "worker", "exporter")
#: variable of docker-compose.yml -> stage of the stand-ins
THEIRS = {
    "LABQ_REDIS_IMAGE": "redis",
    "LABQ_PROMETHEUS_IMAGE": "prometheus",
    "LABQ_ALERTMANAGER_IMAGE": "alertmanager",
    "LABQ_REGISTRY_IMAGE": "registry",
    "LABQ_NODE_EXPORTER_IMAGE": "node-exporter",
    "LABQ_GRAFANA_IMAGE": "grafana",
}
#: Quicker health checks, the label by which a test engine is cleared, and bridges whose names we know.
OVERRIDE = """
x-quick: &quick {labels: {labq.test: "1"}}
services:
  redis: {<<: *quick, healthcheck: {interval: 1s}}
  scheduler: {<<: *quick, healthcheck: {interval: 1s}}
  notifier: *quick
  prometheus: {<<: *quick, healthcheck: {interval: 1s}}
  alertmanager: {<<: *quick, healthcheck: {interval: 1s}}
  grafana: *quick
  registry: {<<: *quick, healthcheck: {interval: 1s}}
  worker: {<<: *quick, healthcheck: {interval: 1s}}
  exporter: {<<: *quick, healthcheck: {interval: 1s}}
  # Without rslave, which asks for a shared /: systemd makes it so, but not every machine of a CI has one.
  node-exporter: {<<: *quick, volumes: ["/:/host:ro"]}
networks:
  queue: {driver_opts: {com.docker.network.bridge.name: BRIDGEq}}
  watch: {driver_opts: {com.docker.network.bridge.name: BRIDGEw}}
  images: {driver_opts: {com.docker.network.bridge.name: BRIDGEi}}
"""


def build_images(engine: Engine) -> dict[str, str]:
    """Build ours from the local base, and the stand-ins; the engine's cache makes the second time short.

    Returns:
        What the environment of docker-compose must say so that it takes them.
    """
    for name in OURS:
        # The first stage has a name, too, so that only what an older labq left is pruned, not what the next build needs.
        for target, tag in (
            ("--target=build", f"labq-test/{name}-build"),
            ("--target=", f"labq/{name}:test"),
        ):
            engine.docker(
                "build", "-q", "-f", str(REPO / name / "Dockerfile"), "--build-arg", f"BASE={BASE}",
                target, "-t", tag, str(REPO),
            )  # fmt: skip
    for stage in THEIRS.values():
        engine.docker("build", "-q", "--target", stage, "-t", f"labq-test/{stage}:compose", str(STANDINS))
    engine.docker("image", "prune", "-f")
    return {"LABQ_VERSION": "test", "LABQ_BASE": BASE} | {
        variable: f"labq-test/{stage}:compose" for variable, stage in THEIRS.items()
    }


class Stack:
    """A copy of the files in a directory of its own, with secrets of its own."""

    def __init__(self, engine: Engine, images: Mapping[str, str]) -> None:
        need(shutil.which("docker-compose"), "docker-compose (apt-get install docker-compose)")
        self.engine = engine
        self.folder = Path(tempfile.mkdtemp(prefix="labq-compose-"))
        for name in ("docker-compose.yml", "compose"):
            _copy(REPO / name, self.folder / name)
        for name in ("prometheus", "alertmanager", "grafana"):
            _copy(REPO / "dashboards" / name, self.folder / "dashboards" / name)
        self._bridge = f"labqcomp{engine.bridge.slot}"
        (self.folder / "test.yml").write_text(OVERRIDE.replace("BRIDGE", self._bridge))
        # What a killed run left behind: a bridge has one network only.
        engine.docker("network", "prune", "-f")
        self._rules("-D", check=False)
        self._rules("-I")
        self.secrets = self.folder / "secrets"
        subprocess.run([REPO / "scripts" / "secrets", self.secrets], check=True, capture_output=True)
        self.port, self.redis_port, self.registry_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.run_dir = self.folder / "run"
        self.settings = {
            **images,
            "COMPOSE_PROJECT_NAME": self.folder.name.replace("_", ""),
            "COMPOSE_FILE": "docker-compose.yml:test.yml",
            "LABQ_PORT": str(self.port),
            "LABQ_REDIS_PORT": str(self.redis_port),
            "LABQ_REGISTRY_PORT": str(self.registry_port),
            "LABQ_RUN_DIR": str(self.run_dir),
            "LABQ_NODE_DIR": str(self.folder / "node"),
            "DOCKER_SOCKET": engine.host.removeprefix("unix://"),
        }

    def compose(self, *arguments: str, check: bool = True, **more: str) -> str:
        """Run docker-compose and return what it printed, both streams."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("LABQ_", "COMPOSE_"))}
        result = subprocess.run(
            ["docker-compose", *arguments],
            cwd=self.folder,
            env=env | {"DOCKER_HOST": self.engine.host} | self.settings | more,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert result.returncode == 0 or not check, f"docker-compose {' '.join(arguments)}: {result.stdout}"
        return result.stdout

    def up(self, *services: str, profile: str = "") -> None:
        """Start services, without building or pulling anything."""
        try:
            self.compose(*(["--profile", profile] if profile else []), "up", "-d", "--no-build", *services)
        except AssertionError as error:
            error.add_note(self.logs())
            raise

    def container(self, service: str) -> str:
        """The id of a service's container, running or not."""
        found = self.engine.docker(
            "ps", "-aq", "--filter", f"label=com.docker.compose.project={self.settings['COMPOSE_PROJECT_NAME']}",
            "--filter", f"label=com.docker.compose.service={service}",
        ).split()  # fmt: skip
        assert len(found) == 1, f"containers of {service}: {found}"
        return found[0]

    def inspect(self, service: str, form: str) -> str:
        """What `docker inspect --format` says of a service's container."""
        return self.engine.docker("inspect", "--format", form, self.container(service)).strip()

    def healthy(self, service: str) -> bool:
        """Does its health check say so?"""
        return self.inspect(service, "{{.State.Health.Status}}") == "healthy"

    def exec(self, service: str, *command: str, check: bool = True) -> str:
        """Run a command in a service's container."""
        return self.engine.docker("exec", self.container(service), *command, check=check).strip()

    def secret(self, name: str) -> str:
        """The value in a secret's file."""
        return (self.secrets / name).read_text().strip()

    def logs(self) -> str:
        """The last lines of all services, for a message."""
        states = self.engine.docker("ps", "-a", "--format", "{{.Names}}: {{.Status}}", check=False)
        return states + self.compose("logs", "--tail", "20", check=False)

    def labq(self, token: str, *arguments: str, check: bool = True) -> str:
        """What the client of the host says of this stack."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("LABQ_")} | {
            "LABQ_SERVER": self.url, "LABQ_TOKEN": token, "LABQ_CONFIG": str(self.folder / "client.toml"), "NO_COLOR": "1",
        }  # fmt: skip
        result = subprocess.run(
            [BIN / "labq", *arguments], env=env, cwd=self.folder, text=True, capture_output=True, timeout=90,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert result.returncode == 0 or not check, (
            f"labq {arguments}: {result.stdout}{result.stderr}\n{self.logs()}"
        )
        return result.stdout

    def close(self) -> None:
        """Remove containers, networks, volumes and files."""
        self.compose("--profile", "node", "--profile", "slack", "down", "-v", "--timeout", "5", check=False)
        self._rules("-D")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _rules(self, what: str, check: bool = True) -> None:
        # The test engine leaves iptables alone (subnet.py); a machine that forwards nothing then also bridges nothing.
        for side in ("-i", "-o"):
            subprocess.run(
                ["iptables", "-w", what, "FORWARD", side, f"{self._bridge}+", "-j", "ACCEPT"],
                check=check,
                stderr=None if check else subprocess.DEVNULL,
            )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
