"""A job that may be stopped yields to a more urgent one, saves its work, comes back and goes on: real containers, two agents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.engine import BUSYBOX
from support.lab import Lab
from support.lab_fixtures import MakeLab
from support.waiting import wait_for

SMALL = ("--image", BUSYBOX, "--cpus", "0.1", "--memory", "32MB")
#: Counts steps; on SIGTERM it saves where it is. Its first run never ends by itself, the next one soon does.
WORK = """
step=0; [ -e /outputs/checkpoint ] && step=$(cat /outputs/checkpoint) && echo "resumed at $step"
trap 'echo $step > /outputs/checkpoint; echo "saved $step"; exit 143' TERM
while [ "$LABQ_ATTEMPT" = 1 ] || [ $step -lt 40 ]; do step=$((step + 1)); echo "step $step"; sleep 0.05; done
echo "done at $step"
"""


@pytest.mark.timeout(180)
def test_a_preempted_job_saves_its_work_comes_back_and_goes_on_where_it_was(
    make_lab: MakeLab, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[preemption]\nprotect = "1s"\n')
    settings = {"LABQ_RULES_FILE": str(rules), "LABQ_NODE": "n1"}
    lab = make_lab("sim:2xRTX-4090-24GB", settings)
    lab.start_agent("n2", "sim:1xA100-80GB")
    busy = _submit(lab, "--gpus", "a100:1", "--", "sleep", "600")
    low = _submit(lab, "--gpus", "2", "--preemptible", "--priority", "low", "--", "sh", "-c", WORK)
    wait_for(lambda: "step 3" in lab.labq("logs", low).stdout, 30, "it to work", hint=lab.logs)
    high = _submit(lab, "--gpus", "1", "--priority", "high", "--", "sh", "-c", "echo mine; sleep 2")
    assert lab.labq("wait", high).returncode == 0
    assert lab.labq("wait", low).returncode == 0
    shown, other = lab.json("show", low), lab.json("show", high)
    first = shown["attempts"][0]
    assert (first["end_reason"], len(shown["attempts"]), shown["exit_code"]) == ("preempted", 2, 0)
    assert f"for job {high}" in first["verdict"]
    assert first["node"] == other["node"] == shown["node"] == "n1"
    log = lab.labq("logs", low).stdout
    lab.labq("fetch", low, "--to", str(tmp_path / "out"))
    saved = int((tmp_path / "out" / "checkpoint").read_text())
    assert saved >= 3
    assert f"resumed at {saved}" in log
    assert "done at" in log
    assert lab.json("show", busy)["state"] == "running", "a job that is not preemptible is left alone"
    ran = [row for row in _moves(lab, low, high) if row[1] == "running"]
    assert [row[0] for row in ran] == [low, high, low]


def _submit(lab: Lab, *arguments: str) -> str:
    return str(lab.json("submit", *SMALL, *arguments)["id"])


def _moves(lab: Lab, *jobs: str) -> list[tuple[str, str]]:
    """Return who moved where, in order, from the stream of events."""
    from labq.store import Store

    store = Store(lab.redis_url)
    moved = [event.fields for event in store.events.read("0-0", count=10_000) if event.type == "moved"]
    store.connection.client.close()
    assert all(json.loads(fields["set"]) for fields in moved)
    return [(fields["id"], fields["to"]) for fields in moved if fields["id"] in jobs]
