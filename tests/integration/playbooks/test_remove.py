"""What is taken off a machine that is a node no more, as ansible says it in check mode on this machine, whose /etc is a copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.private_etc import PrivateEtc


@pytest.mark.parametrize("control", [False, True])
def test_labq_stays_on_the_control_machine_and_on_no_other(tmp_path: Path, control: bool) -> None:
    machine, labq = PrivateEtc(tmp_path), tmp_path / "opt-labq"
    (labq / "versions" / "0.1.0-x").mkdir(parents=True)
    (labq / "current").symlink_to(labq / "versions" / "0.1.0-x")
    units = machine.etc / "systemd/system"
    units.mkdir(parents=True, exist_ok=True)
    (machine.etc / "labq").mkdir(exist_ok=True)
    (machine.etc / "labq/node.env").touch()
    if control:
        (units / "labq-provisioner.service").touch()
    done = machine.play(
        [{"ansible.builtin.import_role": {"name": "labq_worker", "tasks_from": "remove_files.yml"}}],
        {"labq_worker_package_dir": str(labq), "labq_server": "http://127.0.0.1:1"},
        "--check",
    )
    assert done.returncode == 0, done.stdout
    assert "changed: [localhost] => (item=/etc/labq/node.env)" in done.stdout
    for name in ("current", "versions"):
        assert (f"changed: [localhost] => (item={labq}/{name})" in done.stdout) is not control
    assert ("labq-provisioner.service run from it" in " ".join(done.stdout.split())) is control
