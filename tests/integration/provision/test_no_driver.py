"""A service whose drivers cannot start, as after an upgrade that went wrong: its runs end, and say why."""

from __future__ import annotations

import shutil
import signal
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.provisioning import Lab

import labq
import labq_scheduler
from labq.provision import RunState


@pytest.fixture
def ending(idle_lab: Lab) -> Iterator[Lab]:
    """A lab whose service the test starts."""
    yield idle_lab
    idle_lab.end(signal.SIGTERM)
    idle_lab.end_drivers()


def test_when_the_code_has_vanished_the_run_fails_after_three_tries_and_says_what_to_do(
    ending: Lab, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    for package in (labq, labq_scheduler):
        shutil.copytree(Path(package.__path__[0]), site / package.__name__)
    ending.start(PYTHONPATH=str(site))
    shutil.rmtree(site / "labq")
    shutil.rmtree(site / "labq_scheduler")
    (site / "labq_scheduler.py").write_text("raise SystemExit(7)")  # else the checkout would be found
    run = ending.ended(ending.ask("fine.yml"))
    assert run.state is RunState.FAILED
    assert "Nothing ran: 3 drivers were started" in run.note
    assert "(exit status 7)" in run.note
    assert "journalctl -u labq-provisioner -n 50" in run.note
    assert "systemctl restart labq-provisioner" in run.note


def test_when_python_itself_has_vanished_the_run_fails_and_the_next_one_too(
    ending: Lab, tmp_path: Path
) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.executable).resolve())
    (tmp_path / "venv" / "pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
    packages = Path(sysconfig.get_path("purelib"))
    linked = tmp_path / "venv" / packages.relative_to(sys.prefix)
    linked.parent.mkdir(parents=True)
    linked.symlink_to(packages)
    ending.start([str(python), "-m", "labq_scheduler.provision"])
    python.unlink()
    first, second = ending.ask("fine.yml", limit="a"), ending.ask("fine.yml", limit="b")
    for run in (ending.ended(first), ending.ended(second)):
        assert run.state is RunState.FAILED
        assert f"({python}: No such file or directory)" in run.note
