"""The plays hold together: they parse, their settings are described, and a wrong one is told before anything is changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
BIN = Path(sys.executable).parent
PLAYS = sorted(path.name for path in PLAYBOOKS.glob("*.yml"))
ROLES = sorted(path.name for path in (PLAYBOOKS / "roles").iterdir() if path.is_dir())
#: What a task may have beside its module.
KEYWORDS = {
    "name", "when", "loop", "loop_control", "register", "changed_when", "failed_when", "check_mode", "diff", "vars", "tags",
    "notify", "listen", "become", "become_user", "delegate_to", "run_once", "until", "retries", "delay", "ignore_errors", "args",
    "environment", "no_log", "block", "rescue", "always", "throttle", "delegate_facts", "async", "poll",
}  # fmt: skip


def ansible(
    *arguments: str, inventory: str = "localhost,", connection: str = "local"
) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook as a person in playbooks/ would."""
    env = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
    }
    return subprocess.run(
        [BIN / "ansible-playbook", "-i", inventory, "-c", connection, *arguments],
        cwd=PLAYBOOKS,
        env=env,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def tasks_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the tasks of a file, those of blocks too."""
    waiting = list(yaml.safe_load(path.read_text()) or [])
    while waiting:
        task = waiting.pop(0)
        if "hosts" in task:
            task = {
                "block": [
                    *task.get("pre_tasks", []),
                    *task.get("tasks", []),
                    *task.get("post_tasks", []),
                ]
            }
        if "ansible.builtin.import_playbook" in task:
            continue
        yield task
        for part in ("block", "rescue", "always"):
            waiting += task.get(part, [])


def all_tasks() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every task and handler with the file that it is in."""
    files = [PLAYBOOKS / name for name in PLAYS]
    files += [*PLAYBOOKS.glob("roles/*/tasks/*.yml"), *PLAYBOOKS.glob("roles/*/handlers/*.yml")]
    for path in files:
        for task in tasks_of(path):
            yield str(path.relative_to(PLAYBOOKS)), task


@pytest.mark.parametrize("play", PLAYS)
def test_each_play_parses_and_all_that_it_includes_is_there(play: str) -> None:
    done = ansible("--syntax-check", play, inventory="control,gpu01,")
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_but_what_ansible_itself_has_is_used() -> None:
    foreign = [
        f"{file}: {key}"
        for file, task in all_tasks()
        for key in task
        if key not in KEYWORDS and not key.startswith("ansible.builtin.")
    ]
    assert foreign == []


def test_one_play_alone_reboots_machines() -> None:
    files = {file for file, task in all_tasks() if "ansible.builtin.reboot" in task}
    assert files == {"upgrade_driver.yml"}


@pytest.mark.parametrize("role", ROLES)
def test_each_setting_of_a_role_is_described_and_has_a_type(role: str) -> None:
    folder = PLAYBOOKS / "roles" / role
    specs = yaml.safe_load((folder / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    described: set[str] = set()
    for spec in specs.values():
        assert spec["short_description"]
        described |= spec.get("options", {}).keys()
        waiting = list(spec.get("options", {}).items())
        while waiting:
            name, option = waiting.pop()
            assert option.get("description"), name
            assert option.get("type"), name
            waiting += option.get("options", {}).items()
    defaults = folder / "defaults" / "main.yml"
    names = set(yaml.safe_load(defaults.read_text()) or {}) if defaults.exists() else set()
    assert names <= described


def test_a_setting_of_the_wrong_type_in_any_role_is_told_before_anything_is_changed() -> None:
    wrong = {
        "labq_server": "http://127.0.0.1:1",
        "data_mounts": [{"src": "fileserver:/data"}],
        "base_users": [{"name": "ada", "uid": "one"}],
        "nvidia_state": "maybe",
        "docker_log_max_files": "many",
        "registry_trust": [{"ca": "x"}],
        "node_exporter_enabled": "perhaps",
    }
    done = ansible("--check", "-e", json.dumps({"ansible_become": False, **wrong}), "-e", "ansible_python_interpreter=" + sys.executable,
                   "gpu_nodes.yml", inventory=inventory_of_this_machine())  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode != 0
    for name in wrong.keys() - {"labq_server"}:
        assert name in said, said[-3000:]
    assert "changed=0" in said
    # Nothing of the machine was even looked at after that.
    assert said.count("TASK [") == said.count("TASK [preflight")


def inventory_of_this_machine() -> str:
    """Return the path of an inventory where this machine is a node."""
    return str(Path(__file__).parent / "this_machine.ini")
