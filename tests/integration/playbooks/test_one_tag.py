"""A role alone, on a machine where the role before it never was: it says what is missing, and does not call that done."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.private_etc import PrivateEtc


@pytest.mark.parametrize(
    ("role", "program"), [("labq_worker", "labq-worker"), ("labq_exporter", "labq-exporter")]
)
def test_without_labq_a_programs_role_says_which_role_brings_it(
    tmp_path: Path, role: str, program: str
) -> None:
    machine = PrivateEtc(tmp_path)
    variables = {"labq_package_dir": str(tmp_path / "opt"), "labq_server": "http://127.0.0.1:1"}
    tasks = [{"ansible.builtin.import_role": {"name": role}}]
    done = machine.play(tasks, variables)
    said = " ".join(done.stdout.split())
    assert done.returncode == 2, said
    assert f"/current/bin/{program}, so there is no" in said
    assert f"--tags labq_package,{role}" in said
    assert "changed=0" in said
    checked = machine.play(tasks, variables, "--check")
    assert checked.returncode == 0, checked.stdout
