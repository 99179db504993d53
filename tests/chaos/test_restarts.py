"""kill -9 while jobs run: containers go on, and exit code, log, outputs and verdict are complete."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.engine import BUSYBOX
from support.lab import Lab
from support.waiting import wait_for

SMALL = ("--image", BUSYBOX, "--cpus", "0.1", "--memory", "32MB")
#: Writes numbered lines until told to end, then an output, then exits with 3.
COUNT = "i=0; while [ ! -e /outputs/stop ]; do i=$((i+1)); echo line $i; sleep 0.01; done; echo $i > /outputs/last; echo the end; exit 3"


def start(lab: Lab) -> str:
    """Start a counting job and wait for its first lines."""
    job = str(lab.json("submit", *SMALL, "--gpus", "1", "--", "sh", "-c", COUNT)["id"])
    wait_for(
        lambda: "line 5\n" in lab.labq("logs", job).stdout, 30, "its first lines", interval=0.1, hint=lab.logs
    )
    return job


def tell_to_end(lab: Lab, job: str) -> None:
    """Let the job end, as its own work would."""
    (lab.data / "outputs" / job / "1" / "stop").touch()


def check_complete(lab: Lab, job: str, target: Path) -> None:
    """The job must have ended with all that belongs to it, each line just once."""
    assert lab.labq("wait", job, "--timeout", "40s", check=False).returncode == 1
    shown = lab.json("show", job)
    assert (shown["state"], shown["exit_code"], shown["end_reason"]) == ("failed", 3, "exit_code")
    assert "exit code 3" in shown["verdict"]
    assert len(shown["attempts"]) == 1
    lab.labq("fetch", job, "--to", str(target))
    last = int((target / "last").read_text())
    assert lab.labq("logs", job).stdout == "".join(f"line {i}\n" for i in range(1, last + 1)) + "the end\n"


@pytest.mark.parametrize("part", ["agent", "server", "redis", "all"])
def test_killed_while_a_job_runs_and_ends_later(lab: Lab, part: str, tmp_path: Path) -> None:
    job = start(lab)
    lab.kill9(part)
    if part == "all":
        lab.start()
    wait_for(lab.ready, 30, "the lab to be ready again", hint=lab.logs)
    lines = lab.labq("logs", job).stdout.count("\n")
    wait_for(
        lambda: lab.labq("logs", job).stdout.count("\n") > lines + 20,
        30,
        "the log to go on",
        interval=0.2,
        hint=lab.logs,
    )
    assert lab.json("show", job)["state"] == "running"
    tell_to_end(lab, job)
    check_complete(lab, job, tmp_path / "out")


@pytest.mark.parametrize("part", ["agent", "all"])
def test_killed_and_the_job_ends_meanwhile(lab: Lab, part: str, tmp_path: Path) -> None:
    job = start(lab)
    if part == "agent":  # its supervisor would restart it before the job ends
        lab.kill9("up")
    lab.kill9(part)
    tell_to_end(lab, job)
    wait_for(
        lambda: not lab.engine.docker("ps", "-q", "--filter", f"label=labq.job={job}"),
        20,
        "its container to end",
    )
    lab.start()
    check_complete(lab, job, tmp_path / "out")


def test_a_clean_stop_and_start_keeps_running_and_queued_jobs(lab: Lab, tmp_path: Path) -> None:
    job = start(lab)
    waiting = lab.json("submit", *SMALL, "--gpus", "2", "--", "true")["id"]
    lab.restart()
    assert lab.json("show", job)["state"] == "running"
    assert lab.json("show", waiting)["state"] == "queued"
    tell_to_end(lab, job)
    check_complete(lab, job, tmp_path / "out")
    assert lab.labq("wait", waiting, "--timeout", "30s").returncode == 0


def test_the_engine_restarts_under_live_restore_and_no_line_is_lost(lab: Lab, tmp_path: Path) -> None:
    job = start(lab)
    lab.engine.restart()
    lines = lab.labq("logs", job).stdout.count("\n")
    wait_for(
        lambda: lab.labq("logs", job).stdout.count("\n") > lines + 20,
        30,
        "the log to go on",
        interval=0.2,
        hint=lab.logs,
    )
    tell_to_end(lab, job)
    check_complete(lab, job, tmp_path / "out")


@pytest.mark.timeout(180)
def test_a_lost_node_fails_its_job_and_stops_it_when_it_returns(make_lab: object) -> None:
    lab: Lab = make_lab("none", {"LABQ_NODE_GRACE": "3s"})  # type: ignore[operator]
    agent = lab.start_agent("n2", "sim:1xRTX-4090-24GB")
    job = lab.json("submit", *SMALL, "--gpus", "1", "--", "sleep", "300")["id"]
    again = lab.json("submit", *SMALL, "--gpus", "1", "--retries", "1", "--", "sleep", "300")["id"]
    wait_for(
        lambda: lab.json("show", job)["state"] == "running", 30, "it to run", interval=0.1, hint=lab.logs
    )
    lab.kill9("n2")
    wait_for(
        lambda: lab.json("show", job)["state"] == "failed",
        40,
        "the node to be lost",
        interval=0.2,
        hint=lab.logs,
    )
    shown = lab.json("show", job)
    assert shown["end_reason"] == "node_lost"
    assert "n2 has been silent" in shown["verdict"]
    assert lab.engine.docker("ps", "-q", "--filter", f"label=labq.job={job}")
    assert agent.pid is None
    lab.start_agent("n2", "sim:1xRTX-4090-24GB")
    wait_for(
        lambda: not lab.engine.docker("ps", "-aq", "--filter", f"label=labq.job={job}"),
        30, "the returned node to stop what is no longer its own", interval=0.2, hint=lab.logs,
    )  # fmt: skip
    wait_for(
        lambda: lab.json("show", again)["state"] == "running",
        30,
        "the next job to run",
        interval=0.2,
        hint=lab.logs,
    )
