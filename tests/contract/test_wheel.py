"""The wheel holds every package: hatch leaves out a missing one without a word."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(REPO)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(target.glob("*.whl")))


def test_the_wheel_holds_all_packages_and_their_data(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for package in ("labq", "labq/cli", "labq/client", "labq/lab", "labq/packing", "labq/store", "labq_scheduler",
                    "labq_scheduler/api", "labq_scheduler/policy", "labq_worker", "labq_exporter"):  # fmt: skip
        assert f"{package}/__init__.py" in names, package
    for script in ("submit", "move", "leader", "provision_write", "provision_tell"):
        assert f"labq/store/lua/{script}.lua" in names
    for unit in (
        "labq-worker.service",
        "labq-exporter.service",
        "labq-provisioner.service",
        "labq-docker-stamp.socket",
    ):
        assert f"labq/systemd/{unit}" in names
    assert {"labq/py.typed", "labq_scheduler/py.typed", "labq_worker/py.typed"} <= names


def test_the_wheel_holds_the_playbooks_and_what_the_role_control_copies(wheel: zipfile.ZipFile) -> None:
    names, home = set(wheel.namelist()), "labq_scheduler/provision"
    plays = {path.relative_to(REPO).as_posix() for path in (REPO / "playbooks").rglob("*.yml")}
    assert len(plays) > 30
    assert {f"{home}/{play}" for play in plays} <= names
    assert f"{home}/playbooks/ansible.cfg" in names
    variables = (REPO / "playbooks/roles/control/vars/main.yml").read_text()
    tree = yaml.safe_load(variables.replace("!unsafe ", ""))
    for wanted in [*tree["control_tree"], *tree["control_scripts"]]:
        assert [name for name in names if name.startswith(f"{home}/control/{wanted}")], wanted


def test_the_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "labq", "labq_scheduler", "labq_worker", "labq_exporter",
    }  # fmt: skip


def test_the_client_depends_on_nothing(wheel: zipfile.ZipFile) -> None:
    metadata = next(name for name in wheel.namelist() if name.endswith("METADATA"))
    lines = wheel.read(metadata).decode().splitlines()
    assert [line for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line] == []
