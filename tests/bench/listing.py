"""`labq ls` as a whole process with 10,000 jobs queued, against `python -c pass`."""

from __future__ import annotations

import subprocess
import sys

from support.engine import BUSYBOX
from support.lab import BIN, Lab

from bench.table import row, title
from labq.clock import monotonic

ROUNDS = 20


def measure(lab: Lab) -> None:
    """Print whole-process times."""
    title("labq ls as a whole process, 10,000 jobs queued")
    (node,) = lab.json("nodes")
    lab.labq("drain", node["name"], "bench")
    for _ in range(2):
        lab.json("submit", "--image", BUSYBOX, "--gpus", "1", "--array", "0-4999", "--", "true")
    labq = str(BIN / "labq")
    row("python -c pass", [_time(lab, [sys.executable, "-c", "pass"]) for _ in range(ROUNDS)], "ms")
    row("labq ls", [_time(lab, [labq, "ls"]) for _ in range(ROUNDS)], "ms", "< 150")
    row(
        "labq ls --json --limit 0 (all 10,000)",
        [_time(lab, [labq, "ls", "--json", "--limit", "0"]) for _ in range(5)],
        "ms",
    )


def _time(lab: Lab, command: list[str]) -> float:
    began = monotonic()
    subprocess.run(command, env=lab.env(), capture_output=True, check=True)
    return (monotonic() - began) * 1000
