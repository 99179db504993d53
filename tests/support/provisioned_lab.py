"""A lab whose control machine is this one and whose nodes are machines (systemd_node.py): nothing on them is put there by hand.

Server and Redis listen on the engine's bridge, where nobody but the machines is. The lab directory holds what `labq
inventory init` would write, and a vault with secrets that no test may find anywhere else.
"""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import redis
import yaml

from labq.settings import write_config
from labq.store import Person, Store
from support.daemon import Daemon
from support.lab import free_port
from support.process_watch import ProcessWatch
from support.redis import server_program
from support.systemd_node import PACKAGES, WHEELS, SystemdNode
from support.systemd_node_fixtures import Machines
from support.waiting import wait_for
from support.wheelhouse import build_wheel

BIN = Path(sys.executable).parent
REPO = Path(__file__).parents[2]
DRIVER, NEWER_DRIVER, TOOLKIT = "580.95.05-1", "580.105.08-1", "1.17.8-1"
#: People of the inventory; ann has an account in labq, too.
ANN = {"name": "ann", "uid": 4001, "gid": 4001, "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKann ann"]}
BEN = {"name": "ben", "uid": 4002, "gid": 4002, "ssh_keys": []}


@dataclass(frozen=True)
class Run:
    """How a run of the provisioner ended.

    Attributes:
        body: What the API says of it.
        text: What people saw.
        seconds: From asking for it to its end.
    """

    body: Mapping[str, Any]
    text: str
    seconds: float

    @property
    def ok(self) -> bool:
        return bool(self.body["state"] == "succeeded")

    def changes(self, host: str) -> list[str]:
        """What was changed on a host: "role : task"."""
        found = re.findall(rf"^{host} +changed +(.+?)(?:  .*)?$", self.text, re.MULTILINE)
        assert len(found) >= self.body["stats"][host]["changed"], self.text
        return found

    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host."""
        return {host: row["changed"] for host, row in self.body["stats"].items()}


class ProvisionedLab:
    """Server, Redis, provisioner and the lab directory.

    Attributes:
        url: The address of the server, for people and for nodes.
        lab_dir: The lab directory.
        packages: Where the wheels lie that the server serves.
        playbooks: Those that are run: copies, so that a test may add one.
        watch: Who was seen on this machine and, as they are its processes, on the nodes while runs went on.
        planted: Secrets by what they are; none may be found outside of the lab directory and the nodes' own files.
    """

    def __init__(self, machines: Machines, directory: Path) -> None:
        self.machines, self.directory = machines, directory
        self.lab_dir, self.packages = directory / "lab", directory / "packages"
        self.playbooks = directory / "playbooks"
        self._host = str(machines.engine.bridge.network[1])
        self._redis_port, self._port = free_port(), free_port()
        self.url = f"http://{self._host}:{self._port}"
        self.planted = {"redis": secrets.token_hex(16), "exporter": secrets.token_hex(16)}
        self.planted["digest"] = bcrypt.hashpw(self.planted["exporter"].encode(), bcrypt.gensalt(4)).decode()
        self.watch = ProcessWatch()
        self._redis = Daemon("redis", directory)
        self._server = Daemon("server", directory)
        self._provisioner = Daemon("provisioner", directory)
        for each in (self.packages, directory / "data", directory / "targets"):
            each.mkdir()

    @property
    def redis_url(self) -> str:
        """Redis as this lab and its nodes reach it; with its password."""
        return f"redis://:{self.planted['redis']}@{self._host}:{self._redis_port}/0"

    def store(self) -> Store:
        """What the server knows; its client is the caller's to close."""
        return Store(self.redis_url)

    def start(self) -> None:
        """Starts everything; no node is there yet."""
        self._start_redis()
        build_wheel(self.packages)
        shutil.copytree(REPO / "playbooks", self.playbooks)
        (self.directory / "redis-url").write_text(self.redis_url)
        self._write_control_exec()
        self._write_lab_dir()
        store = self.store()
        for person in (Person("root", 0, 0, admin=True), Person("ann", 4001, 4001)):
            store.people.put(person)
            token = store.people.new_token(person.name)
            write_config(self._config(person.name), {"server": self.url, "token": token})
        store.connection.client.close()
        command = [BIN / "labq-scheduler", "--host", self._host, "--port", self._port]
        self._server.start([str(word) for word in command], self._env(), self.directory)
        wait_for(
            lambda: self.labq("ls", check=False).returncode == 0,
            60,
            "the server",
            interval=0.2,
            hint=self.logs,
        )
        self._provisioner.start(
            [sys.executable, "-m", "labq_scheduler.provision"], self._env(), self.directory
        )

    def _config(self, who: str) -> Path:
        return self.directory / f"{who}.toml"

    def _start_redis(self) -> None:
        program = server_program()
        assert program is not None, "pip install 'labq[embedded]'"
        config = self.directory / "redis.conf"
        # In a file: a password on a command line is everybody's.
        config.write_text(
            f"bind {self._host}\nport {self._redis_port}\nrequirepass {self.planted['redis']}\n"
            f"dir {self.directory}\nappendonly yes\nsave ''\n"
        )
        config.chmod(0o600)
        self._redis.start([str(program), str(config)])

        def answers() -> bool:
            with redis.Redis.from_url(self.redis_url) as client:
                try:
                    return bool(client.ping())
                except redis.exceptions.RedisError:
                    return False

        wait_for(answers, 20, "Redis", hint=self._redis.tail)

    def _env(self) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("LABQ_")}
        return clean | {
            "LABQ_CONFIG": "/dev/null",
            "LABQ_REDIS_URL_FILE": str(self.directory / "redis-url"),
            "LABQ_REDIS_URL_NODES_FILE": str(self.directory / "redis-url"),
            "LABQ_DATA_DIR": str(self.directory / "data"),
            "LABQ_PACKAGES_DIR": str(self.packages),
            "LABQ_TARGETS_DIR": str(self.directory / "targets"),
            "LABQ_LAB_DIR": str(self.lab_dir),
            "LABQ_PLAYBOOKS_DIR": str(self.playbooks),
            "LABQ_NODE_GRACE": "60s",
        }

    def _write_control_exec(self) -> None:
        script = self.directory / "labq-scheduler"
        script.write_text(
            "#!/bin/sh\n"
            f"export LABQ_CONFIG=/dev/null LABQ_REDIS_URL_FILE={self.directory}/redis-url"
            f" LABQ_REDIS_URL_NODES_FILE={self.directory}/redis-url LABQ_DATA_DIR={self.directory}/data\n"
            f'exec {BIN}/labq-scheduler "$@"\n'
        )
        script.chmod(0o700)

    def _write_lab_dir(self) -> None:
        for each in ("inventory/nodes", "inventory/group_vars/all", "ssh"):
            (self.lab_dir / each).mkdir(parents=True)
        self.lab_dir.chmod(0o700)
        shutil.copy(self.machines.key.private, self.lab_dir / "ssh" / "id_ed25519")
        self.write_inventory()
        password = self.lab_dir / "vault-password"
        password.write_text(secrets.token_hex(16) + "\n")
        password.chmod(0o600)
        vault = self.lab_dir / "inventory" / "group_vars" / "all" / "vault.yml"
        vault.write_text(
            yaml.safe_dump(
                {"labq_exporter_web_config": {"basic_auth_users": {"prometheus": self.planted["digest"]}}}
            )
        )
        vault.chmod(0o600)
        subprocess.run(
            [BIN / "ansible-vault", "encrypt", "--vault-password-file", password, vault],
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )

    def write_inventory(self, **changes: Any) -> None:
        """Writes inventory/lab.yml: variables of the whole lab and the control machine.

        Args:
            **changes: Variables that differ from those of this lab.
        """
        variables: dict[str, Any] = {
            "ansible_user": "root",
            "labq_server": self.url,
            "labq_control_exec": [str(self.directory / "labq-scheduler")],
            "labq_pip_args": f"--no-index --find-links {WHEELS}",
            "nvidia_state": "present",
            "nvidia_driver_package": "nvidia-driver-580-server",
            "nvidia_driver_version": DRIVER,
            "nvidia_toolkit_version": TOOLKIT,
            "nvidia_repo": {"uris": f"file://{PACKAGES}", "suites": "./", "trusted": True},
            "base_users": [ANN, BEN],
            "preflight_min_free_gb": 1,
            **changes,
        }
        control = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }
        inventory = {
            "all": {
                "vars": variables,
                "children": {"control": {"hosts": {"here": control}}, "gpu_nodes": {"hosts": {}}},
            }
        }
        (self.lab_dir / "inventory" / "lab.yml").write_text(yaml.safe_dump(inventory, sort_keys=False))

    def add_to_inventory(self, node: SystemdNode, **variables: Any) -> None:
        """Names a machine as a node, and does nothing to it."""
        said = {"ansible_host": node.address, **variables}
        body = {"gpu_nodes": {"hosts": {node.name: said}}}
        (self.lab_dir / "inventory" / "nodes" / f"{node.name}.yml").write_text(yaml.safe_dump(body))

    def take_from_inventory(self, node: SystemdNode) -> None:
        """Undoes that."""
        (self.lab_dir / "inventory" / "nodes" / f"{node.name}.yml").unlink()

    def add_play(self, name: str, hosts: str, task: Mapping[str, Any]) -> None:
        """Puts a playbook of one task beside those of labq."""
        play = {
            "name": name,
            "hosts": hosts,
            "gather_facts": False,
            "tasks": [{"name": f"Work of {name}", **task}],
        }
        (self.playbooks / f"{name}.yml").write_text(yaml.safe_dump([play], sort_keys=False))

    def labq(
        self,
        *arguments: str,
        who: str = "root",
        check: bool = True,
        timeout: float = 60,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs the command line as a person does, without a terminal.

        Args:
            *arguments: As on the command line.
            who: root (an admin) or ann.
            check: Whether an exit code other than 0 fails the test.
            timeout: Seconds after which it counts as hanging.
            cwd: Where it is run.
        """
        env = {key: value for key, value in os.environ.items() if not key.startswith("LABQ_")}
        env |= {"LABQ_CONFIG": str(self._config(who)), "NO_COLOR": "1"}
        done = subprocess.run(
            [BIN / "labq", *arguments],
            env=env,
            cwd=cwd or self.directory,
            text=True,
            errors="replace",
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"labq {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}\n{self.logs()}"
            )
        return done

    def json(self, verb: str, *rest: str, **options: Any) -> Any:
        """Runs a command with `--json` and returns what it printed as a value."""
        return json.loads(self.labq(verb, "--json", *rest, **options).stdout)

    def run(self, *arguments: str, timeout: float = 900) -> Run:
        """Asks for a run (`provision …` or `node add …`), follows it to its end, and looks at all processes meanwhile."""
        began = time.monotonic()
        with self.watch:
            made = json.loads(self.labq(*arguments, "--detach", "--json").stdout)
            seen = self.labq("provision", "follow", made["id"], check=False, timeout=timeout)
        body = json.loads(self.labq("provision", "show", made["id"], "--json").stdout)
        return Run(body, seen.stdout + seen.stderr, time.monotonic() - began)

    def succeeds(self, *arguments: str) -> Run:
        """As `run`, and it must succeed."""
        done = self.run(*arguments)
        assert done.ok, f"labq {' '.join(arguments)}: {done.text}\n{self.logs()}"
        return done

    def control(self, *arguments: str) -> str:
        """Runs labq-scheduler's commands for plays, as a play does, and returns the last line that it prints."""
        command = [str(self.directory / "labq-scheduler"), *arguments]
        done = subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()[-1]

    def node(self, name: str) -> dict[str, Any] | None:
        """A row of `labq nodes`, or None."""
        return next((row for row in self.json("nodes") if row["name"] == name), None)

    def submit(
        self, *arguments: str, gpus: int = 1, node: str = "", script: str = "true", who: str = "ann"
    ) -> str:
        """Submits a job from the image that the machines have, and returns its id."""
        where = ["--node", node] if node else []
        image = ["--image", "labq-test/busybox:latest", "--gpus", str(gpus)]
        return str(self.json("submit", *image, *where, *arguments, "--", "sh", "-c", script, who=who)["id"])

    def running(self, job: str) -> None:
        """Waits until a job runs."""
        wait_for(
            lambda: self.json("show", job)["state"] == "running", 60, f"{job} to run", interval=0.3,
            hint=lambda: self.labq("show", job).stdout + self.logs(),
        )  # fmt: skip

    def logs(self) -> str:
        """The last lines of every log, for a message."""
        return "\n".join(daemon.tail() for daemon in (self._server, self._provisioner, self._redis))

    def files_that_say(self, secret: str, *without: Path) -> Sequence[str]:
        """Files of this lab on this machine, logs and artifacts of runs included, that hold a secret."""
        done = subprocess.run(
            ["grep", "-rlaF", "--", secret, str(self.directory)], text=True, capture_output=True, check=False
        )
        return [
            path
            for path in done.stdout.splitlines()
            if not any(Path(path).is_relative_to(each) for each in without)
        ]

    def close(self) -> None:
        """Ends everything."""
        for daemon in (self._provisioner, self._server, self._redis):
            daemon.end(signal.SIGTERM)
