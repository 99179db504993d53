"""Runs one playbook. The only importer of ansible_runner.

Nothing of what ansible prints is kept: ansible-core 2.19 prints "Task failed: …" with the message of a task even where
it has ``no_log`` (seen with 2.19.14). Results stay in memory, and of them only our events are kept. What is in the
environment goes to each program that a play starts here, so no secret is in it.
"""

from __future__ import annotations

import configparser
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labq.errors import UnavailableError
from labq_scheduler.provision.orphans import MARK
from labq_scheduler.provision.places import LabDir

#: Variables that ansible gets from our own environment. Settings of labq may be secrets, and are not among them.
PASSED = (
    "HOME",
    "USER",
    "LOGNAME",
    "TZ",
    "TMPDIR",
    "DOCKER_HOST",
    "SSH_AUTH_SOCK",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
#: Where ansible's programs are: beside our own Python, whether or not that is on the PATH.
BINARIES = Path(sys.executable).parent
#: Seconds between two looks at whether the run is to be cancelled.
LOOK = 1
#: Lines of ansible's own complaints (not of tasks) that are kept.
MOST_LINES = 8


@dataclass(slots=True)
class Outcome:
    """How a playbook ended."""

    rc: int
    #: ansible-runner's word: successful, failed, canceled, timeout
    status: str
    #: ansible's own count by outcome and host; None = it did not come to an end
    stats: Mapping[str, Any] | None = None
    #: what ansible complained of outside of tasks
    complaints: list[str] = field(default_factory=list)


def environment(lab: LabDir, playbooks: Path, run_id: str, scratch: Path) -> dict[str, str]:
    """Return the environment in which ansible runs.

    Args:
        lab: the lab directory.
        playbooks: directory of the playbooks, with ``ansible.cfg``.
        run_id: of the run.
        scratch: directory for ssh's sockets and decrypted files; short, since sockets lie in it.
    """
    config = playbooks / "ansible.cfg"
    env = {name: os.environ[name] for name in PASSED if name in os.environ}
    env |= {
        "PATH": f"{BINARIES}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        MARK: str(lab.run(run_id)),
        "LABQ_LAB_DIR": str(lab.root),
        "ANSIBLE_HOME": str(scratch / "home"),
        "ANSIBLE_LOCAL_TEMP": str(scratch / "tmp"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(scratch / "cp"),
        "ANSIBLE_SSH_ARGS": ssh_args(config),
        "ANSIBLE_NOCOLOR": "1",
        # Else a file with a fault in it is a warning: its machines are left out, or get none of their variables.
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
    }
    if config.exists():
        env["ANSIBLE_CONFIG"] = str(config)
    if lab.ssh_key.exists():
        env["ANSIBLE_PRIVATE_KEY_FILE"] = str(lab.ssh_key)
    return env


def ssh_args(config: Path) -> str:
    """Return ssh's arguments of ``ansible.cfg``; the first key of a host is taken, a changed one never."""
    found = configparser.ConfigParser(interpolation=None)
    found.read(config)
    known = "-o UserKnownHostsFile=${LABQ_LAB_DIR}/ssh/known_hosts -o BatchMode=yes"
    said = found.get("ssh_connection", "ssh_args", fallback=f"{known} -o StrictHostKeyChecking=yes")
    # Names in clear: people are told whose keys were new.
    return (
        said.replace("StrictHostKeyChecking=yes", "StrictHostKeyChecking=accept-new")
        + " -o HashKnownHosts=no"
    )


def play(
    lab: LabDir,
    playbook: Path,
    directory: Path,
    env: Mapping[str, str],
    *,
    limit: str,
    tags: Sequence[str],
    variables: Mapping[str, Any],
    flags: Sequence[str],
    timeout: float | None,
    take: Callable[[dict[str, Any]], None],
    cancelled: Callable[[], bool],
) -> Outcome:
    """Run a playbook until it ends. In the main thread of a process that does nothing else.

    Args:
        lab: the lab directory.
        playbook: path.
        directory: for what ansible-runner needs while it runs.
        env: from ``environment``.
        limit: ansible's pattern of hosts.
        tags: () = all.
        variables: more variables; nothing secret, they are in the process list.
        flags: --check, --diff.
        timeout: seconds; None = none.
        take: called with each event of ansible-runner.
        cancelled: asked every second.

    Raises:
        UnavailableError: ansible could not be started.
    """
    import ansible_runner

    outcome = Outcome(127, "failed")

    began = False

    def handle(event: dict[str, Any]) -> bool:
        nonlocal began
        kind = event.get("event")
        if kind == "playbook_on_stats":
            outcome.stats = event.get("event_data") or {}
        elif kind in {"verbose", "error"}:
            if not began:  # later ones may be of a task with no_log
                _complaint(outcome.complaints, str(event.get("stdout") or ""))
        else:
            began = began or kind == "playbook_on_task_start"
            take(event)
        return False  # not to disk: it has whole results

    # Its own environment is copied into that of ansible, and into an artifact.
    os.environ.clear()
    os.environ.update(env)
    arguments = list(flags)
    if lab.vault_password.exists():
        arguments += ["--vault-password-file", str(lab.vault_password)]
    given: dict[str, Any] = {"limit": limit} if limit else {}
    if tags:
        given["tags"] = ",".join(tags)
    if variables:
        given["extravars"] = dict(variables)
    # From a file: the same given as an argument counts for nothing unless the file is there (ansible-runner 2.4.3).
    settings = {
        "pexpect_timeout": LOOK,
        "job_timeout": timeout and int(timeout),
        "suppress_output_file": True,
    }
    (directory / "env").mkdir(mode=0o700, exist_ok=True)
    (directory / "env" / "settings").write_text(json.dumps(settings))
    try:
        ran = ansible_runner.run(
            private_data_dir=str(directory), project_dir=str(playbook.parent), playbook=playbook.name,
            inventory=str(lab.inventory), ident="artifacts", envvars=dict(env), cmdline=shlex.join(arguments) or None,
            suppress_env_files=True, quiet=True, event_handler=handle, cancel_callback=cancelled, **given,
        )  # fmt: skip
    except OSError:
        if outcome.stats is None:
            raise
        # The play came to its end; what could not be written is ansible-runner's own note of that.
        outcome.rc, outcome.status = 0, "successful"
        return outcome
    outcome.rc, outcome.status = int(ran.rc if ran.rc is not None else 254), str(ran.status)
    if outcome.rc == 127:
        raise UnavailableError(
            f"there is no ansible-playbook in {BINARIES}",
            "pip install 'labq[provision]' beside labq-provisioner",
        )
    return outcome


def _complaint(found: list[str], text: str) -> None:
    for line in text.splitlines():
        if line.strip() and (found or "ERROR" in line) and len(found) < MOST_LINES:
            found.append(line.strip()[:500])
