"""Resident memory: the agent with 8 jobs running, the server with 10,000 queued."""

from __future__ import annotations

from pathlib import Path

from support.engine import BUSYBOX
from support.lab import Lab
from support.waiting import wait_for

from bench.table import row, title


def measure(lab: Lab) -> None:
    """Print megabytes of each process."""
    title("resident memory")
    made = lab.json(
        "submit",
        "--image",
        BUSYBOX,
        "--cpus",
        "0.1",
        "--memory",
        "32MB",
        "--array",
        "0-7",
        "--",
        "sleep",
        "600",
    )
    wait_for(
        lambda: len(lab.json("ls", "--state", "running")) == 8,
        60,
        "8 jobs to run",
        interval=0.2,
        hint=lab.logs,
    )
    row("agent with 8 jobs running", [_rss(lab, "agent")], "MB", "< 80")
    lab.labq("cancel", made["id"])
    lab.labq("wait", made["id"], check=False)
    (node,) = lab.json("nodes")
    lab.labq("drain", node["name"], "bench")
    for number in range(10):
        lab.json(
            "submit",
            "--image",
            BUSYBOX,
            "--gpus",
            "1",
            "--name",
            f"a{number}",
            "--array",
            "0-999",
            "--",
            "true",
        )
    lab.json("ls")
    row("server (API and loop) with 10,000 queued", [_rss(lab, "server")], "MB", "< 150")


def _rss(lab: Lab, part: str) -> float:
    """Return the sum of the resident memory of a part's processes, in MB."""
    total = 0
    for process in lab.processes(part):
        status = Path(f"/proc/{process.pid}/status").read_text()
        total += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return total / 1024
