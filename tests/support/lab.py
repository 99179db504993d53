"""A whole lab in a box: the product as a person starts it, on the private engine, with simulated GPUs."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from labq.store import Person, Store
from support.daemon import Daemon
from support.engine import Engine
from support.processes import MARK, Process, belonging, end
from support.waiting import wait_for

BIN = Path(sys.executable).parent
#: How the processes of a part are told apart: by a piece of their command line.
PARTS = {
    "up": ("labq up", "labq.lab"),
    "server": ("labq-scheduler", "labq_scheduler"),
    "agent": ("labq-worker", "labq_worker"),
    "redis": ("redis-server",),
}


class Lab:
    """`labq up` with a data directory, a port and a configuration of its own.

    Attributes:
        data: The data directory.
        config: The file that `LABQ_CONFIG` names.
        url: The address of the API.
    """

    def __init__(
        self,
        engine: Engine,
        directory: Path,
        gpus: str = "sim:2xRTX-4090-24GB",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            engine: Where its containers run.
            directory: For all its files; with a short path, as sockets lie in it.
            gpus: As for `labq up --gpus`.
            settings: More environment, e.g. `{"LABQ_NODE_GRACE": "3s"}`.
        """
        self.engine = engine
        self.directory = directory
        self.data = directory / "data"
        self.config = directory / "config.toml"
        self.gpus = gpus
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = dict(settings or {})
        self.agents: dict[str, Daemon] = {}
        self._mark = uuid4().hex
        self._up = Daemon("labq-up", directory)

    def env(self, **more: str) -> dict[str, str]:
        """The environment of everything in this lab: nothing of the person who runs the tests shines through."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("LABQ_")}
        home = {
            f"XDG_{kind}_HOME": str(self.directory / kind.lower()) for kind in ("CONFIG", "DATA", "CACHE")
        }
        return {
            **env,
            **home,
            "DOCKER_HOST": self.engine.host,
            "LABQ_CONFIG": str(self.config),
            "LABQ_RUN_DIR": str(self.directory / "run"),
            "NO_COLOR": "1",
            "PATH": f"{BIN}:{env['PATH']}",
            MARK: self._mark,
            **self.settings,
            **more,
        }

    def start(self) -> None:
        """Runs `labq up`, unless it runs, and waits until the API is ready."""
        command = ["up", "--data-dir", str(self.data), "--port", str(self.port), "--gpus", self.gpus]
        self._up.start([str(BIN / "labq"), *command], self.env(), self.directory)
        # The client's configuration is written when the server answers and the node has joined.
        wait_for(lambda: self._up.pid is None or self._joined(), 60, "labq up to be ready", hint=self.logs)
        assert self._up.pid is not None, f"labq up ended at once:\n{self.logs()}"

    def _joined(self) -> bool:
        up = self.ready() and self.config.exists()
        return up and any(node["state"] == "up" for node in self.json("nodes"))

    def ready(self) -> bool:
        """Does `/readyz` answer with 200?"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """Stops `labq up` as Ctrl-C does."""
        self._up.end(signal.SIGINT, 60)

    def restart(self) -> None:
        """Stops and starts it; jobs run on."""
        self.stop()
        self.start()

    def labq(
        self,
        *arguments: str,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - the name that subprocess.run gives it
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Runs the command line as a person does, without a terminal.

        Args:
            *arguments: As on the command line.
            check: Whether an exit code other than 0 fails the test.
            input: What it reads; nothing by default.
            env: More environment.
            cwd: Where it is run.
            timeout: Seconds after which it counts as hanging.
        """
        result = subprocess.run(
            [str(BIN / "labq"), *arguments],
            env=self.env(**(env or {})),
            cwd=cwd or self.directory,
            input=input or "",
            text=True,
            errors="replace",
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        if check and result.returncode:
            raise AssertionError(
                f"labq {' '.join(arguments)}: exit code {result.returncode}\n{result.stdout}{result.stderr}\n{self.logs()}"
            )
        return result

    def json(self, *arguments: str, **options: Any) -> Any:
        """Runs a command with `--json` and returns what it printed as a value."""
        verb, *rest = arguments  # before any "--", after which everything is the job's command
        return json.loads(self.labq(verb, "--json", *rest, **options).stdout)

    def start_agent(self, name: str, gpus: str, **settings: str) -> Daemon:
        """Starts one more node's agent beside the one of `labq up`, with a token of its own; see `agents`."""
        store = Store(self.redis_url)
        store.people.put(Person(f"node-{name}", agent=True))
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        env = self.env(
            LABQ_REDIS_URL=self.redis_url,
            LABQ_SERVER=self.url,
            LABQ_NODE_TOKEN=store.people.new_token(f"node-{name}"),
            LABQ_DATA_DIR=str(directory / "data"),
            **settings,
        )
        store.connection.client.close()
        agent = self.agents.setdefault(name, Daemon("agent", directory))
        agent.start([str(BIN / "labq-worker"), "--name", name, "--gpus", gpus], env, directory)
        self.wait_for_node(name)
        return agent

    @property
    def redis_url(self) -> str:
        """The address of this lab's Redis: the one it was told to use, or the socket of its own."""
        if url := self.settings.get("LABQ_REDIS_URL"):
            return url
        sockets = sorted(path for path in self.data.rglob("*.sock") if "redis" in path.name)
        assert sockets, f"no Redis socket below {self.data}"
        return f"unix://{sockets[0]}"

    def wait_for_node(self, name: str, state: str = "up") -> None:
        """Waits until a node is known and in that state."""

        def known() -> bool:
            return any(node["name"] == name and node["state"] == state for node in self.json("nodes"))

        wait_for(known, 30, f"node {name} to be {state}", interval=0.2, hint=self.logs)

    def processes(self, part: str | None = None) -> list[Process]:
        """The living processes of this lab, or of one part of it: a key of PARTS, or the name of an agent."""
        found = belonging(self._mark, self.directory)
        if part is None:
            return found
        if part in self.agents:
            return [process for process in found if process.pid == self.agents[part].pid]
        extra = {agent.pid for agent in self.agents.values()}
        return [p for p in found if p.pid not in extra and any(piece in p.command for piece in PARTS[part])]

    def kill9(self, part: str = "all") -> list[Process]:
        """Ends a part of the lab, or all of it, with SIGKILL, and returns what was killed.

        Args:
            part: "all", a key of PARTS, or the name of an agent from `start_agent`.
        """
        killed = self.processes(None if part == "all" else part)
        assert killed, f"nothing to kill for {part!r}; running: {self.processes()}"
        end(killed)
        return killed

    def logs(self) -> str:
        """The last lines of every log of this lab, for a message."""
        return "\n".join(daemon.tail() for daemon in [self._up, *self.agents.values()])

    def close(self) -> None:
        """Ends every process and removes every container of this lab."""
        try:
            self.stop()
        finally:
            for agent in self.agents.values():
                agent.end(signal.SIGKILL)
            end(self.processes())
            self.engine.start()
            self.engine.remove_containers()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
