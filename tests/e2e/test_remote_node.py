"""A node that shares no files with the server: context, build log, log and outputs travel over HTTP."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from support.engine import BUSYBOX
from support.lab import Lab
from support.lab_fixtures import MakeLab
from support.waiting import wait_for


def test_a_directory_is_built_and_run_on_a_node_without_shared_files(
    make_lab: MakeLab, tmp_path: Path
) -> None:
    lab = make_lab("none")
    lab.start_agent("n2", "sim:1xRTX-4090-24GB")
    (tmp_path / "Dockerfile").write_text(f"FROM {BUSYBOX}\nRUN echo build {uuid4().hex}\n")
    script = "echo up; while [ ! -e /outputs/go ]; do sleep 0.05; done; head -c 3000000 /dev/urandom > /outputs/model; echo over"
    job = lab.json("submit", str(tmp_path), "--gpus", "1", "--", "sh", "-c", script)["id"]
    wait_for(
        lambda: lab.labq("logs", job).stdout == "up\n", 60, "its first line", interval=0.1, hint=lab.logs
    )
    outputs = lab.directory / "n2" / "data" / "outputs" / job / "1"
    (outputs / "go").touch()
    assert lab.labq("wait", job, "--timeout", "30s").returncode == 0
    assert lab.labq("logs", job).stdout == "up\nover\n"
    lab.labq("fetch", job, "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / "model").stat().st_size == 3_000_000


def test_outputs_of_a_failed_job_come_although_the_server_was_away_when_it_ended(
    make_lab: MakeLab, tmp_path: Path
) -> None:
    lab: Lab = make_lab("none")
    lab.start_agent("n2", "sim:1xRTX-4090-24GB")
    script = "while [ ! -e /outputs/go ]; do sleep 0.05; done; echo late; echo kept > /outputs/kept; exit 5"
    job = lab.json("submit", "--image", BUSYBOX, "--gpus", "1", "--", "sh", "-c", script)["id"]
    outputs = lab.directory / "n2" / "data" / "outputs" / job / "1"
    wait_for(outputs.exists, 30, "it to start", hint=lab.logs)
    wait_for(
        lambda: lab.json("show", job)["state"] == "running", 30, "it to run", interval=0.1, hint=lab.logs
    )
    lab.kill9("server")  # its supervisor starts it again
    (outputs / "go").touch()
    wait_for(lab.ready, 30, "the server to be back", hint=lab.logs)
    assert lab.labq("wait", job, "--timeout", "40s", check=False).returncode == 1
    assert lab.json("show", job)["exit_code"] == 5
    assert lab.labq("logs", job).stdout == "late\n"
    lab.labq("fetch", job, "--to", str(tmp_path / "out"))
    assert (tmp_path / "out" / "kept").read_text() == "kept\n"
