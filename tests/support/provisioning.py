"""A lab directory whose machines are this one, and a real labq-provisioner on it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from labq.provision import FINAL, Run
from labq.provision_request import Request
from labq.store import Store
from labq_scheduler.dispatch import Dispatcher
from support.daemon import Daemon
from support.waiting import wait_for

BIN = Path(sys.executable).parent
PLAYS = Path(__file__).parent / "plays"
#: In the inventory below group_vars/all, encrypted with ansible-vault.
PLANTED = "planted-9f2c71d0c6"


class Lab:
    """Two hosts, a and b, which are this machine, and one, gone, that nobody answers for."""

    def __init__(self, redis_url: str, directory: Path) -> None:
        self.root = directory / "lab"
        self.scratch = directory / "scratch"
        self.url = redis_url
        self.store = Store(redis_url)
        self.log = directory / "provisioner.log"
        self._daemon = Daemon("provisioner", directory)
        self.scratch.mkdir()
        (self.root / "inventory" / "group_vars" / "all").mkdir(parents=True)
        for path in (self.root, self.root / "inventory"):
            path.chmod(0o700)
        here = {"ansible_connection": "local"}
        self.write_inventory({"a": here, "b": here})

    def write_inventory(self, hosts: Mapping[str, Mapping[str, Any]]) -> None:
        said = {
            "all": {
                "vars": {
                    "scratch": str(self.scratch),
                    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                },
                "children": {"gpu_nodes": {"hosts": dict(hosts)}},
            }
        }
        (self.root / "inventory" / "lab.yml").write_text(yaml.safe_dump(said, sort_keys=False))

    def plant(self) -> None:
        """Puts a secret into the vault."""
        vault = self.root / "inventory" / "group_vars" / "all" / "vault.yml"
        password = self.root / "vault-password"
        vault.write_text(f"planted: {PLANTED}\n")
        password.write_text("a password\n")
        command = [
            str(part) for part in (BIN / "ansible-vault", "encrypt", "--vault-password-file", password, vault)
        ]
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    def env(self, **more: str) -> dict[str, str]:
        """The environment of everything in this lab."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("LABQ_", "ANSIBLE_"))}
        named = {
            "LABQ_CONFIG": "/dev/null",
            "LABQ_LAB_DIR": str(self.root),
            "LABQ_PLAYBOOKS_DIR": str(PLAYS),
            "LABQ_REDIS_URL": self.url,
            "NO_COLOR": "1",
        }
        return env | named | more

    def start(self, command: Sequence[str] = (), **more: str) -> None:
        """Starts the service and waits until it lives."""
        self.store.connection.client.delete("labq:provision:alive")
        self._daemon.start(command or [str(BIN / "labq-provisioner")], self.env(**more))
        wait_for(self.store.provision.alive, 20, "the provisioner to live", hint=self._daemon.tail)

    def end(self, how: Any) -> None:
        """Sends the service a signal and waits for its end."""
        self._daemon.end(how)

    def ask(self, playbook: str, **more: Any) -> str:
        """Asks for a run as the server does, and returns its id."""
        request = Request.from_json({"playbook": playbook, **more})
        run = self.store.provision.make(request, "hana", now=1_800_000_000.0)
        Dispatcher(self.url).provision(run.id)
        return run.id

    def get(self, run_id: str) -> Run:
        return self.store.provision.get(run_id)

    def ended(self, run_id: str) -> Run:
        """Waits for the end of a run."""
        wait_for(
            lambda: self.get(run_id).state in FINAL, 60, f"run {run_id} to end", interval=0.1, hint=self.tail
        )
        return self.get(run_id)

    def began(self, run_id: str, task: str) -> None:
        """Waits until a task of a run has begun."""
        wait_for(
            lambda: self.has_event(run_id, kind="task", task=task), 60, f"{task!r} to begin", hint=self.tail
        )

    def has_event(self, run_id: str, **fields: Any) -> bool:
        """Is there an event with these fields?"""
        events = self.store.provision.events(run_id, 0, 1000)
        return any(all(event[key] == value for key, value in fields.items()) for event in events)

    def end_drivers(self) -> None:
        """Kills what a test that failed has left: a driver waits long for a Redis that is gone."""
        for pid in self._processes("--drive\0", f"LABQ_LAB_DIR={self.root}"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def drivers(self, run_id: str) -> list[int]:
        """Pids of the processes that drive a run."""
        return self._processes(f"--drive\0{run_id}\0", f"LABQ_LAB_DIR={self.root}")

    def orderers(self, run_id: str) -> list[int]:
        """Pids of the ansibles of a run."""
        return self._processes("ansible-playbook\0", f"LABQ_PROVISION_RUN={self.root / 'runs' / run_id}")

    def _processes(self, part: str, variable: str) -> list[int]:
        """Pids of those with that in their command line and environment: other labs may be on this machine."""
        numbers = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
        found = [path for path in numbers if part.encode() in _read(path / "cmdline")]
        return [int(path.name) for path in found if variable.encode() in _read(path / "environ").split(b"\0")]

    def tail(self) -> str:
        return self._daemon.tail()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
