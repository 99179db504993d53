"""The role labq_package as ansible plays it, with wheels of labq: what a process was started from stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.need import need
from support.wheelhouse import build_wheel

REPO = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
#: As a program of labq that loads a module only when it needs it.
LATE = "import sys, labq; sys.stdin.read(); import labq.cli; print(labq.__version__)"


class Installed:
    """A machine's /opt/labq, in a directory."""

    def __init__(self, directory: Path) -> None:
        need(os.geteuid() == 0, "root")
        need(shutil.which("dpkg-query"), "Debian or Ubuntu")
        self.root, self._wheels = directory / "labq", directory / "wheels"
        self._wheels.mkdir()
        self._play = directory / "play.yml"
        play = {"hosts": "localhost", "gather_facts": False, "roles": ["labq_package"]}
        self._play.write_text(json.dumps([play]))

    @property
    def versions(self) -> list[str]:
        """Those that are there, without the digest."""
        return sorted(path.name.partition("-")[0] for path in (self.root / "versions").iterdir())

    def bring(self, version: str, **env: str) -> None:
        """Play the role with a wheel of that version."""
        made = [*self._wheels.glob(f"labq-{version}-*.whl")]
        variables = {
            "labq_wheel": str(made[0] if made else build_wheel(self._wheels, version)),
            "labq_extras": [],
            "labq_pip_args": "--no-index",
            "labq_package_dir": str(self.root),
            "labq_package_cache_dir": str(self.root / "cache"),
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
        }
        done = subprocess.run(
            [BIN / "ansible-playbook", "-i", "localhost,", "-e", json.dumps(variables), self._play],
            env=os.environ
            | {"ANSIBLE_ROLES_PATH": str(REPO / "playbooks" / "roles"), "ANSIBLE_NOCOLOR": "1"}
            | env,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert (self.root / "current").resolve().name.startswith(f"{version}-")

    def start(self) -> subprocess.Popen[str]:
        """Start a program of the version in use, as the first line of its script does."""
        python = (self.root / "current").resolve() / "bin" / "python"
        # Not here, where labq's source would be found first.
        return subprocess.Popen(
            [python, "-c", LATE], cwd=self.root, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Nothing is installed yet."""
    directory = tmp_path_factory.mktemp("package")
    yield Installed(directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.timeout(300)
def test_a_version_stays_until_no_process_runs_from_it_however_often_labq_is_upgraded(
    installed: Installed,
) -> None:
    installed.bring("0.9.1")
    with installed.start() as oldest:
        installed.bring("0.9.2")
        installed.bring("0.9.3")
        assert installed.versions == ["0.9.1", "0.9.2", "0.9.3"]
        said, complaint = oldest.communicate("", timeout=30)
        assert (oldest.returncode, said) == (0, "0.9.1\n"), complaint
    installed.bring("0.9.4")
    assert installed.versions == ["0.9.3", "0.9.4"]


@pytest.mark.timeout(300)
def test_a_python_that_was_upgraded_gets_the_same_version_anew_beside_the_one_that_processes_run_from(
    installed: Installed, tmp_path: Path
) -> None:
    # Before the upgrade: a Python that says that it is an older one.
    before = tmp_path / "python3"
    before.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec echo 3.10\nexec {shutil.which("python3")} "$@"\n')
    before.chmod(0o755)
    installed.bring("0.9.5", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (installed.root / "current").resolve().name.endswith("-py3.10")
    with installed.start() as old:
        installed.bring("0.9.5")
        assert not (installed.root / "current").resolve().name.endswith("-py3.10")
        said, complaint = old.communicate("", timeout=30)
        assert (old.returncode, said) == (0, "0.9.5\n"), complaint
