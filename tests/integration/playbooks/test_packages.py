"""Which packages the roles docker and nvidia take for what: real apt-cache and dpkg-query, asked of lists and states that are made up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROLES = Path(__file__).parents[3] / "playbooks" / "roles"
BIN = Path(sys.executable).parent


def said(directory: Path, role: str, tasks: str, form: str, env: dict[str, str], **variables: object) -> Any:
    """Play tasks of a role here, and return what an expression is then.

    Args:
        directory: for the play.
        role: its name.
        tasks: the file of tasks, which only look.
        form: of Jinja, without braces.
        env: for the programs that look.
        **variables: of the play.
    """
    play = directory / "play.yml"
    steps = [
        {"ansible.builtin.import_role": {"name": role, "tasks_from": tasks}},
        {"ansible.builtin.copy": {"content": f"{{{{ ({form}) | to_json }}}}", "dest": str(directory / "said")}},
    ]  # fmt: skip
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": steps}]))
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", "localhost,", "-e", json.dumps(here | variables), play],
        env=os.environ | {"ANSIBLE_ROLES_PATH": str(ROLES), "ANSIBLE_NOCOLOR": "1"} | env,
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((directory / "said").read_text())


def apt_of(directory: Path, *packages: str) -> dict[str, str]:
    """Variables with which apt knows these packages alone."""
    for name in ("lists/partial", "cache", "parts"):
        (directory / name).mkdir(parents=True)
    for name in ("status", "sources"):
        (directory / name).touch()
    text = "".join(f"Package: {name}\nVersion: 26.1.5\nArchitecture: all\n\n" for name in packages)
    (directory / "sources").write_text(f"deb [trusted=yes] file:{directory}/repo ./\n")
    (directory / "repo").mkdir()
    (directory / "repo" / "Packages").write_text(text)
    config = directory / "apt.conf"
    config.write_text(
        f'Dir::Etc::sourcelist "{directory}/sources"; Dir::Etc::sourceparts "{directory}/parts"; Dir::Etc::parts "{directory}/parts";\n'
        f'Dir::State "{directory}"; Dir::State::lists "{directory}/lists"; Dir::State::status "{directory}/status"; Dir::Cache "{directory}/cache";\n'
        'APT::Sandbox::User "root";\n'
    )
    env = {"APT_CONFIG": str(config)}
    updated = subprocess.run(["apt-get", "update"], env=os.environ | env, capture_output=True, check=False)
    assert updated.returncode == 0, updated.stderr
    return env


@pytest.mark.parametrize(
    ("known", "taken"),
    [
        # Debian 13, where it is merely recommended
        (("docker.io", "docker-cli"), ["docker.io", "docker-cli"]),
        # Debian 12, Ubuntu
        (("docker.io",), ["docker.io"]),
    ],
)
def test_the_command_docker_comes_along_where_it_is_a_package_of_its_own(
    tmp_path: Path, known: tuple[str, ...], taken: list[str]
) -> None:
    form = "docker_packages | reject('equalto', 'apparmor')"
    assert said(tmp_path, "docker", "packages.yml", form, apt_of(tmp_path, *known)) == taken


def dpkg_of(directory: Path, *packages: str) -> dict[str, str]:
    """Variables with which dpkg-query knows these packages alone, all of them installed."""
    (directory / "info").mkdir()
    (directory / "updates").mkdir()
    (directory / "status").write_text(
        "".join(
            f"Package: {name}\nStatus: install ok installed\nVersion: 550.163.01-2\nArchitecture: amd64\n"
            "Maintainer: x <x@example.org>\nDescription: x\n\n"
            for name in packages
        )
    )
    return {"DPKG_ADMINDIR": str(directory)}


@pytest.mark.parametrize(
    ("there", "foreign"),
    [
        (("nvidia-container-toolkit", "nvidia-modprobe"), False),
        (("nvidia-driver-580-server", "nvidia-dkms-580-server"), False),
        (("nvidia-headless-535-server", "nvidia-container-toolkit"), True),
        (("nvidia-driver", "nvidia-kernel-dkms"), True),
        (("cuda-drivers-570",), True),
    ],
)
def test_a_driver_of_another_package_counts_as_a_driver_that_is_there(
    tmp_path: Path, there: tuple[str, ...], foreign: bool
) -> None:
    asked = {"nvidia_driver_package": "nvidia-driver-580-server"}
    assert (
        said(tmp_path, "nvidia", "look.yml", "nvidia_is_foreign", dpkg_of(tmp_path, *there), **asked)
        is foreign
    )


def test_all_of_debians_parts_of_the_driver_are_held(tmp_path: Path) -> None:
    parts = ["libcuda1", "libegl-nvidia0", "libglx-nvidia0", "libnvcuvid1", "libnvidia-ml1", "nvidia-driver", "nvidia-smi"]  # fmt: skip
    form = "nvidia_packages | map(attribute=2) | select('match', nvidia_of_nvidia) | sort"
    env = dpkg_of(tmp_path, *parts, "libc6", "nfs-common")
    assert said(tmp_path, "nvidia", "look.yml", form, env, nvidia_driver_package="nvidia-driver") == parts
