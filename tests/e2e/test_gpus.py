"""GPUs by UUID through NVML and the engine's NVIDIA path; no double booking over two agents."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine import BUSYBOX
from support.lab import Lab
from support.lab_fixtures import MakeLab
from support.nvml import MockNvml, gpu_line, gpu_uuid
from support.waiting import wait_for

from labq.states import HOLDING, JobState
from labq.store import Store

HOLDING_NAMES = {str(state) for state in HOLDING}


def test_a_job_with_two_gpus_sees_exactly_these_two(make_lab: MakeLab, mock_nvml: MockNvml) -> None:
    mock_nvml.write("driver 580.95.05", *(gpu_line(index) for index in range(3)))
    env = mock_nvml.env()
    lab = make_lab(
        "auto", {"LD_LIBRARY_PATH": env["LD_LIBRARY_PATH"], "LABQ_MOCK_NVML": env["LABQ_MOCK_NVML"]}
    )
    (node,) = lab.json("nodes")
    assert [gpu["uuid"] for gpu in node["gpus"]] == [gpu_uuid(index) for index in range(3)]
    assert not any(gpu["simulated"] for gpu in node["gpus"])
    assert "simulated" not in lab.labq("nodes").stdout
    one = lab.json(
        "submit",
        "--image",
        BUSYBOX,
        "--gpus",
        "1",
        "--cpus",
        "0.1",
        "--",
        "sh",
        "-c",
        "echo $NVIDIA_VISIBLE_DEVICES; sleep 60",
    )
    two = lab.json(
        "submit",
        "--image",
        BUSYBOX,
        "--gpus",
        "2",
        "--cpus",
        "0.1",
        "--",
        "sh",
        "-c",
        "echo $NVIDIA_VISIBLE_DEVICES; sleep 60",
    )
    seen = {}
    for job in (one, two):
        _wait_for_log(lab, job["id"])
        shown = lab.json("show", job["id"])
        seen[job["id"]] = lab.labq("logs", job["id"]).stdout.strip().split(",")
        assert seen[job["id"]] == shown["gpus"]
        (name,) = lab.engine.docker("ps", "-q", "--filter", f"label=labq.job={job['id']}").split()
        (container,) = json.loads(lab.engine.docker("inspect", name))
        (request,) = container["HostConfig"]["DeviceRequests"]
        assert (request["Driver"], request["DeviceIDs"]) == ("nvidia", shown["gpus"])
    assert len(seen[one["id"]]) == 1
    assert len(seen[two["id"]]) == 2
    assert not set(seen[one["id"]]) & set(seen[two["id"]])
    mock_nvml.add("fail 0 15")  # GPU is lost
    wait_for(
        lambda: [gpu["fault"] for gpu in lab.json("top") if gpu["uuid"] == gpu_uuid(0)] not in ([""], []),
        30, "the fault to be seen", interval=0.2, hint=lab.logs,
    )  # fmt: skip


def _wait_for_log(lab: Lab, job_id: str) -> None:
    wait_for(lambda: lab.labq("logs", job_id).stdout, 30, "its first line", interval=0.1, hint=lab.logs)


def test_shares_of_one_card_run_side_by_side_up_to_its_memory(make_lab: MakeLab) -> None:
    lab = make_lab("sim:1xRTX-4090-24GB")
    ids = [
        lab.json("submit", "--image", BUSYBOX, "--gpus", "share:10GB", "--cpus", "0.1", "--memory", "32MB", "--", "sleep", "60")["id"]
        for _ in range(3)
    ]  # fmt: skip
    wait_for(
        lambda: [lab.json("show", job)["state"] for job in ids] == ["running", "running", "queued"],
        30, "two of three to share the card", interval=0.1, hint=lab.logs,
    )  # fmt: skip


@pytest.mark.timeout(240)
def test_200_small_jobs_over_two_agents_never_share_a_gpu(make_lab: MakeLab, tmp_path: Path) -> None:
    lab = make_lab("sim:2xRTX-4090-24GB", {"LABQ_NODE": "n1", "LABQ_NODE_CPUS": "8"})
    lab.start_agent("n2", "sim:2xRTX-4090-24GB,1xA100-80GB", LABQ_NODE_CPUS="8")
    seen = tmp_path / "events"
    with _watch_engine(lab, seen):
        small = ("--image", BUSYBOX, "--cpus", "0.1", "--memory", "16MB", "--", "true")
        lab.json("submit", "--array", "0-149", "--gpus", "1", *small)
        lab.json("submit", "--array", "0-29", "--gpus", "2", *small)
        lab.json("submit", "--array", "0-19", "--gpus", "a100:1", *small)
        wait_for(
            lambda: not lab.json("ls", "--state", "active", "--limit", "5"),
            200,
            "200 jobs to end",
            interval=1,
            hint=lab.logs,
        )
    ended = lab.json("ls", "--state", "ended", "--limit", "1000")
    assert len(ended) == 200
    assert {job["state"] for job in ended} == {"succeeded"}
    _check_stream(lab)
    _check_engine(seen.read_text())


def _check_stream(lab: Lab) -> None:
    """Replay the event stream: at no moment does a GPU have two holders."""
    store = Store(lab.redis_url)
    holder: dict[str, str] = {}
    held: dict[str, list[str]] = {}
    starts = 0
    for event in store.events.read("0-0", count=100_000):
        if event.type != "moved":
            continue
        job, to = event.fields["id"], event.fields["to"]
        if to == JobState.STARTING:
            starts += 1
            held[job] = [uuid for uuid, _ in json.loads(json.loads(event.fields["set"])["gpus"])]
            for uuid in held[job]:
                assert uuid not in holder, f"{uuid} given to {job} while {holder[uuid]} holds it"
                holder[uuid] = job
        elif to not in HOLDING_NAMES:
            for uuid in held.pop(job, []):
                del holder[uuid]
    assert starts >= 200
    assert not holder


def _check_engine(text: str) -> None:
    """Ask Docker: at no moment do two containers with the same GPU run."""
    events = sorted(
        (json.loads(line) for line in text.splitlines()), key=lambda event: int(event["timeNano"])
    )
    running: dict[str, str] = {}
    starts = 0
    for event in events:
        container = event["Actor"]["ID"]
        for uuid in event["Actor"]["Attributes"]["labq.gpus"].split(","):
            if event["Action"] == "start":
                assert uuid not in running, f"two containers on {uuid}"
                running[uuid] = container
            elif running.get(uuid) == container:
                del running[uuid]
        starts += event["Action"] == "start"
    assert starts == 200
    assert not running


@contextlib.contextmanager
def _watch_engine(lab: Lab, seen: Path) -> Iterator[None]:
    """Write the engine's events to a file; it remembers only the last 256 by itself, and drops a slow reader."""
    command = ["docker", "events", "--filter", "label=labq.job", "--filter", "event=start", "--filter", "event=die",
               "--format", "{{json .}}"]  # fmt: skip
    with seen.open("w") as out, subprocess.Popen(command, env=lab.engine.env(), stdout=out) as process:
        try:
            yield
        finally:
            process.terminate()
