"""Fixtures that give machines (see systemd_node.py), and a command that gives some to a person.

    PYTHONPATH=tests .venv/bin/python -m support.systemd_node_fixtures DIRECTORY gpu01 gpu02

It writes DIRECTORY/hosts.yml for `ansible-playbook -i`, and keeps the machines until it is interrupted.
"""

import contextlib
import itertools
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.engine import Engine
from support.engine_fixtures import REPO, open_engine
from support.gpu_packages import build_repository
from support.need import need
from support.nvml import gpu_line
from support.ssh import SshKey
from support.systemd_node import PACKAGES, WHEELS, SystemdNode
from support.wheelhouse import wheelhouse

MakeMachine = Callable[..., SystemdNode]


class Machines:
    """Makes machines on one engine, and removes them in the end.

    Attributes:
        key: Who may log in to each of them as root.
        directory: For their hardware and the key.
    """

    #: No two machines of a test run have one address.
    _numbers = itertools.count()

    def __init__(self, engine: Engine) -> None:
        need(shutil.which("ssh"), "ssh (apt-get install openssh-client)")
        self.engine = engine
        self.directory = Path(tempfile.mkdtemp(prefix="labq-machines-"))
        self.key = SshKey(self.directory)
        self._made: list[SystemdNode] = []
        done = subprocess.run(
            [REPO / "scripts" / "bases", "node"],
            env=engine.env(),
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"scripts/bases node failed: {done.stdout}{done.stderr}"
        (self.directory / "work").mkdir()
        build_repository(self.directory / "nvidia", self.directory / "work")
        self._mounts = {self.directory / "nvidia": PACKAGES, wheelhouse(): WHEELS}

    def make(self, name: str, gpus: int = 1) -> SystemdNode:
        """Starts a machine, bare, with that many GPUs in it (the driver for them is not installed)."""
        node = SystemdNode(
            self.engine, name, next(self._numbers) % 50, self.key, self.directory, self._mounts
        )
        self._made.append(node)
        node.gpus(*map(gpu_line, range(gpus)))
        node.start()
        return node

    def inventory(self) -> dict[str, object]:
        """All of them as an inventory of Ansible: the group gpu_nodes."""
        return {"gpu_nodes": {"hosts": {node.name: node.inventory() for node in self._made}}}

    def close(self) -> None:
        """Removes them all."""
        for node in self._made:
            node.remove()
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def open_machines(engine: Engine) -> Iterator[Machines]:
    """Machines until the end of the block."""
    machines = Machines(engine)
    try:
        yield machines
    finally:
        machines.close()


@pytest.fixture(scope="module")
def machines(engine: Engine) -> Iterator[Machines]:
    """Machines for all tests of a file: `machines.make("gpu01", gpus=2)`. Not beside `clean_engine`, which removes them."""
    engine.start()
    with open_machines(engine) as found:
        yield found


def main() -> None:
    """Gives machines to a person until Ctrl-C."""
    directory, *names = sys.argv[1:]
    Path(directory).mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with open_engine() as engine, open_machines(engine) as machines:
        for name in names:
            machines.make(name)
        # JSON is YAML.
        (Path(directory) / "hosts.yml").write_text(json.dumps(machines.inventory(), indent=2) + "\n")
        print(f"DOCKER_HOST={engine.host}\nssh key: {machines.key.private}\ninventory: {directory}/hosts.yml")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
