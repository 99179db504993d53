"""Which packages the roles docker and nvidia take for what: real apt-cache and dpkg-query, asked of lists and states that are made up."""

from __future__ import annotations

import hashlib
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
        (directory / name).mkdir(parents=True, exist_ok=True)
    for name in ("status", "sources"):
        (directory / name).touch()
    text = "".join(f"Package: {name}\nVersion: 26.1.5\nArchitecture: all\n\n" for name in packages)
    (directory / "sources").write_text(f"deb [trusted=yes] file:{directory}/known ./\n")
    known = directory / "known"
    known.mkdir()
    (known / "Packages").write_text(text)
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


def test_a_source_whose_key_is_text_in_the_inventory_is_taken_by_apt(tmp_path: Path) -> None:
    home, repo, parts = tmp_path / "gpg", tmp_path / "repo", tmp_path / "parts"
    for each in (home, repo, parts):
        each.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-gen-key", "lab@example.org", "rsa2048", "sign", "never"], check=True)
    key = subprocess.run([*gpg, "--armor", "--export"], capture_output=True, text=True, check=True).stdout
    packages = "Package: nvidia-container-toolkit\nVersion: 1.17.8-1\nArchitecture: all\nFilename: ./x.deb\nSize: 1\n\n"
    (repo / "Packages").write_text(packages)
    digest = hashlib.sha256(packages.encode()).hexdigest()
    release = f"Date: Sat, 01 Aug 2026 00:00:00 UTC\nSHA256:\n {digest} {len(packages)} Packages\n"
    subprocess.run([*gpg, "--clearsign", "-o", str(repo / "InRelease")], input=release, text=True, check=True)
    source = {"uris": f"file://{repo}", "suites": "/", "signed_by": key}
    template = {
        "src": str(ROLES.parent / "templates/deb822.sources.j2"),
        "dest": str(parts / "labq-nvidia.sources"),
    }
    play = tmp_path / "play.yml"
    tasks = [
        {"ansible.builtin.template": template, "vars": {"deb822_sources": [source], "role_name": "nvidia"}}
    ]
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    subprocess.run(
        [BIN / "ansible-playbook", "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}", play],
        check=True, capture_output=True,
    )  # fmt: skip
    env = apt_of(tmp_path)
    asked = ["apt-cache", "policy", "nvidia-container-toolkit"]
    said = subprocess.run(asked, env=os.environ | env, capture_output=True, text=True, check=True).stdout
    assert "Candidate: 1.17.8-1" in said


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


def test_a_node_that_a_broken_run_left_drained_for_docker_is_given_jobs_again(tmp_path: Path) -> None:
    form, marker = "[docker_is_drained, docker_plan == 'drain']", tmp_path / "drained"
    drained, planned = said(tmp_path, "docker", "look.yml", form, {}, docker_drained=str(marker))
    assert drained is planned
    marker.touch()
    assert said(tmp_path, "docker", "look.yml", form, {}, docker_drained=str(marker))[0] is True


@pytest.mark.parametrize("told", [False, True])
def test_a_machine_with_gpus_for_which_nobody_said_where_the_toolkit_is_lacks_something(
    tmp_path: Path, told: bool
) -> None:
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
    }
    variables = {"nvidia_state": "present", "labq_server": ""} | ({"nvidia_toolkit_repo": {"uris": "https://lab/x", "suites": "/"}} if told else {})  # fmt: skip
    hosts = {"all": {"children": {"gpu_nodes": {"hosts": {"gpu01": here}}}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(hosts))
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", tmp_path / "hosts.yml", "--check", "-e", json.dumps(variables), ROLES.parent / "preflight.yml"],
        env=os.environ | apt_of(tmp_path) | {"ANSIBLE_CONFIG": str(ROLES.parent / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "PATH": f"{BIN}:{os.environ['PATH']}"},
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    said = " ".join(done.stdout.split())
    assert "apt has NVIDIA's container toolkit" in said
    assert ("apt knows no nvidia-container-toolkit" in said) is not told
