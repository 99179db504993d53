"""drain.yml as ansible plays it, with a real labq-scheduler and Redis: no job is ended, and what is still there is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import make_node

from labq.clock import now
from labq.store import Store, keys

REPO = Path(__file__).parents[3]
BIN = Path(sys.executable).parent


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    """A lab with one node, gpu05."""
    store = Store(redis_url)
    store.nodes.register(make_node("gpu05"), now=now())
    yield store
    store.connection.client.close()


class Lab:
    """Plays for that lab."""

    def __init__(self, redis_url: str, directory: Path) -> None:
        self.inventory = directory / "hosts.yml"
        settings = {"LABQ_CONFIG": "/dev/null", "LABQ_REDIS_URL": redis_url, "LABQ_DATA_DIR": str(directory / "data")}  # fmt: skip
        variables = {
            "labq_control_exec": [str(BIN / "labq-scheduler")],
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "node_drain_poll_s": 1,
            "drain_reason": "a new disk",
        }
        hosts: dict[str, object] = {"control": {"hosts": {"here": {}}}, "gpu_nodes": {"hosts": {"gpu05": {}}}}
        self.inventory.write_text(json.dumps({"all": {"vars": variables, "children": hosts}}))
        clean = {key: value for key, value in os.environ.items() if not key.startswith("LABQ_")}
        self._env = clean | settings | {
            "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_CONFIG": str(REPO / "playbooks" / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1",
        }  # fmt: skip

    def drain(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run drain.yml."""
        return subprocess.run(
            [BIN / "ansible-playbook", "-i", self.inventory, REPO / "playbooks" / "drain.yml", *arguments],
            env=self._env,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )


@pytest.fixture
def lab(redis_url: str, tmp_path: Path) -> Lab:
    return Lab(redis_url, tmp_path)


def hold(store: Store, node: str, job: str) -> None:
    """A lease as the store writes it: the permission for a container to exist."""
    store.connection.client.hset(keys.LEASES + node, "lease-1", json.dumps({"job": job}))


def test_a_node_without_jobs_is_drained_once_and_the_second_run_changes_nothing(
    store: Store, lab: Lab
) -> None:
    first = lab.drain()
    assert first.returncode == 0, first.stdout
    assert store.nodes.get("gpu05").drained == "a new disk"
    assert "changed=1" in first.stdout
    second = lab.drain()
    assert (second.returncode, "changed=0" in second.stdout) == (0, True)


def test_jobs_that_do_not_end_in_time_are_named_and_the_node_stays_drained(store: Store, lab: Lab) -> None:
    hold(store, "gpu05", "17")
    done = lab.drain("-e", "drain_wait_s=2")
    assert done.returncode == 2
    said = " ".join(done.stdout.split())
    assert "gpu05 is held by 1 job(s): 17" in said
    assert "still held by: 17" in said
    assert "labq resume gpu05" in said
    assert store.nodes.get("gpu05").drained == "a new disk"
    assert store.jobs.leases("gpu05") == {"lease-1": "17"}


def test_a_drain_of_somebody_else_keeps_their_reason(store: Store, lab: Lab) -> None:
    store.nodes.set_drained("gpu05", "smoke", now=now())
    done = lab.drain()
    assert (done.returncode, "changed=0" in done.stdout) == (0, True)
    assert store.nodes.get("gpu05").drained == "smoke"


def test_check_mode_drains_nothing(store: Store, lab: Lab) -> None:
    done = lab.drain("--check")
    assert done.returncode == 0, done.stdout
    assert store.nodes.get("gpu05").drained == ""


def test_where_the_control_machine_keeps_compose_is_said_once_in_its_own_variables(
    store: Store, lab: Lab, tmp_path: Path
) -> None:
    run = tmp_path / "compose-run"
    run.write_text(
        f'#!/bin/sh\n[ "$1 $2 $3" = "exec -T scheduler" ] || exit 9\nshift 4\nexec {BIN}/labq-scheduler "$@"\n'
    )
    run.chmod(0o755)
    said = json.loads(lab.inventory.read_text())
    del said["all"]["vars"]["labq_control_exec"]
    said["all"]["children"]["control"]["vars"] = {"control_dir": str(tmp_path)}
    lab.inventory.write_text(json.dumps(said))
    done = lab.drain()
    assert done.returncode == 0, done.stdout
    assert store.nodes.get("gpu05").drained == "a new disk"
