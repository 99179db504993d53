"""The play that removes a node removes one, whatever parts of it are asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[3]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize("tags", [[], ["--tags", "labq_worker"]])
def test_two_nodes_are_never_removed_by_one_run(tmp_path: Path, tags: list[str]) -> None:
    here = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
    }
    asked = tmp_path / "asked"
    inventory = {
        "all": {"vars": {**here, "labq_control_exec": ["touch", str(asked)]}},
        "control": {"hosts": {"ctl": None}},
        "gpu_nodes": {"hosts": {"a": None, "b": None}},
    }
    (tmp_path / "lab.yml").write_text(json.dumps(inventory))
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", tmp_path / "lab.yml", REPO / "playbooks" / "remove_node.yml", *tags],
        env=os.environ | {"ANSIBLE_NOCOLOR": "1", "LABQ_LAB_DIR": str(tmp_path)}, cwd=REPO / "playbooks",
        text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "This play would remove a, b" in done.stdout
    assert not asked.exists()
