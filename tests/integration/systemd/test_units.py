"""The units: systemd finds no fault, and each is locked as far as its program allows."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.need import need

from labq.settings import SETTINGS
from labq.systemd import unit_names, unit_text

#: Unit -> what `systemd-analyze security` may say at most (0 = locked, 10 = open). What stands open, and why:
#: docs/explanation/units.md, which says the same numbers.
EXPOSED = {
    "labq-docker-stamp.service": 1.8,
    "labq-exporter.service": 3.4,
    "labq-notifier.service": 1.2,
    "labq-scheduler.service": 1.2,
    "labq-worker.service": 3.6,
    # Ansible does anything as root on the control machine itself, and asks ssh for the rest.
    "labq-provisioner.service": 9.3,
}
PAGE = Path(__file__).parents[3] / "docs/explanation/units.md"
SERVICES = [name for name in unit_names() if name.endswith(".service")]


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    need(shutil.which("systemd-analyze"), "systemd-analyze (apt-get install systemd)")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def said(name: str) -> dict[str, list[str]]:
    """Key -> values, of all sections."""
    found: dict[str, list[str]] = {}
    for row in unit_text(name).splitlines():
        if "=" in row and not row.startswith("#"):
            key, _, value = row.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_no_more_open_than_the_page_says(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(unit_text(name))
    done = analyze("security", "--offline=true", str(path))
    score = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert score is not None, done.stdout + done.stderr
    assert float(score[1]) <= EXPOSED[name]
    assert f"| `{name.removesuffix('.service')}` | {EXPOSED[name]} |" in PAGE.read_text()


def test_systemd_finds_no_fault_with_any_unit(tmp_path: Path) -> None:
    for name in unit_names():
        text = re.sub(r"/opt/labq/current/bin/\S+", "/bin/true", unit_text(name))
        (tmp_path / name).write_text(text)
    checked = analyze("verify", *(str(path) for path in tmp_path.iterdir()))
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_no_unit_is_ever_given_up(name: str) -> None:
    rows = said(name)
    assert rows["StartLimitIntervalSec"] == ["0"]
    assert rows["Restart"][0] in {"always", "on-failure"}
    assert rows["LogRateLimitBurst"]


def test_jobs_survive_the_end_of_the_agent_and_memory_costs_them_first() -> None:
    rows = said("labq-worker.service")
    assert rows["KillMode"] == ["process"]
    assert int(rows["OOMScoreAdjust"][0]) < 0
    # An agent that ended with its engine, or never began because that failed, would say nothing at all.
    assert not {"Requires", "BindsTo", "PartOf"} & set(rows)


# The provisioner asks nvidia-smi where the control machine is a node, too.
@pytest.mark.parametrize("name", ["labq-worker.service", "labq-exporter.service", "labq-provisioner.service"])
def test_what_looks_at_gpus_sees_their_devices(name: str) -> None:
    assert not {"PrivateDevices", "DeviceAllow", "DevicePolicy", "ProtectClock"} & set(said(name))


def test_units_name_variables_that_exist() -> None:
    known = {name for row in SETTINGS for name in (row.env, row.env_file)} | {"LABQ_CONFIG"}
    for name in SERVICES:
        for value in said(name).get("Environment", []):
            variable = value.partition("=")[0]
            assert variable in known or not variable.startswith("LABQ_"), (name, variable)
