"""Use outside the queue: seen, named, respected and counted. Real containers of real people on GPUs of the fake NVML."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Daemon
from support.engine import BUSYBOX
from support.lab import BIN, Lab
from support.lab_fixtures import MakeLab
from support.nvml import MockNvml, gpu_line, gpu_uuid
from support.people import People, people
from support.waiting import wait_for

from labq.clock import monotonic

__all__ = ["people"]
GIB = 2**30
SLEEP = ("--image", BUSYBOX, "--cpus", "0.1", "--memory", "32MB", "--", "sleep", "600")


class Node:
    """A lab of one node with two GPUs, and what goes on on them."""

    def __init__(self, lab: Lab, nvml: MockNvml) -> None:
        self.lab, self.nvml = lab, nvml
        self.processes: dict[int, tuple[int, int]] = {}

    def write(self) -> None:
        """Writes the state of the driver: 90 % of use on every GPU with a process."""
        used = dict(self.processes.values())
        lines = [gpu_line(i, used=used.get(i, 0), util=90 if i in used else 0) for i in range(2)]
        procs = [f"proc {gpu} {pid} {size}" for pid, (gpu, size) in self.processes.items()]
        self.nvml.write("driver 580.95.05", *lines, *procs)

    def pid(self, container: str) -> int:
        """The first process of a container."""
        return int(self.lab.engine.client.api.inspect_container(container)["State"]["Pid"])

    def top(self, gpu: int) -> dict[str, Any]:
        """What `labq top` says of one GPU."""
        found: dict[str, Any] = self.lab.json("top")[gpu]
        return found

    def running(self, job_id: str) -> dict[str, Any]:
        """Waits until a job runs and returns it."""

        def look() -> dict[str, Any]:
            job: dict[str, Any] = self.lab.json("show", job_id)
            return job if job["state"] == "running" else {}

        return wait_for(look, 30, f"job {job_id} to run", interval=0.2, hint=self.lab.logs)

    def wait(self, gpu: int, condition: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Waits until `labq top` says so."""

        def look() -> dict[str, Any]:
            found = self.top(gpu)
            return found if condition(found) else {}

        return wait_for(look, 20, what, interval=0.2, hint=self.lab.logs)


@pytest.fixture
def node(make_lab: MakeLab, mock_nvml: MockNvml, tmp_path: Path) -> Node:
    env = mock_nvml.env()
    mock_nvml.write("driver 580.95.05", gpu_line(0), gpu_line(1))
    settings = {key: env[key] for key in ("LD_LIBRARY_PATH", "LABQ_MOCK_NVML")}
    return Node(
        make_lab(
            "auto",
            settings
            | {"LABQ_DCGM_JOBS_DIR": str(tmp_path / "dcgm"), "LABQ_JOBSTATS_DIR": str(tmp_path / "gpustat")},
        ),
        mock_nvml,
    )


def foreign(node: Node, *options: str) -> str:
    return node.lab.engine.docker(
        "run", "-d", "--label", "labq.test=1", "--network", "none", *options, BUSYBOX, "sleep", "600"
    ).split()[-1]


@pytest.mark.timeout(180)
def test_a_gpu_that_a_colleague_took_by_hand_is_respected_named_and_charged(
    node: Node, people: People
) -> None:
    lab = node.lab
    container = foreign(node, "--name", "labqt-byhand", "-v", f"{people.bob.home}:/data")
    node.processes[node.pid(container)] = (0, 2 * GIB)
    node.write()
    taken = node.wait(0, lambda gpu: gpu["outside"], "the foreign use to be seen")
    (who,) = taken["outside"]
    assert (taken["state"], taken["holders"]) == ("busy", [])
    assert (who["user"], who["source"], who["container"], who["memory"], who["busy"]) == (
        people.bob.name, "mount", "labqt-byhand", 2 * GIB, True,
    )  # fmt: skip
    assert people.bob.name in lab.labq("top", "--once").stdout

    one, two = lab.json("submit", "--gpus", "1", *SLEEP), lab.json("submit", "--gpus", "2", *SLEEP)
    assert node.running(one["id"])["gpus"] == [gpu_uuid(1)]
    why = lab.labq("why", two["id"]).stdout
    assert f"GPU 0 is used outside the queue by {people.bob.name} (container labqt-byhand, for " in why

    # The job's own process is the job's, whatever the driver says.
    (own,) = lab.engine.docker("ps", "-q", "--no-trunc", "--filter", f"label=labq.job={one['id']}").split()
    node.processes[node.pid(own)] = (1, GIB)
    node.write()
    busy = node.wait(1, lambda gpu: gpu["state"] == "busy", "the job's own process to be seen")
    assert busy["outside"] == []

    def used() -> Any:
        rows = {row["key"]: row for row in lab.json("usage")["rows"]}
        bob = rows.get(people.bob.name, {})
        return rows if bob.get("outside_gpu_hours", 0) * 3600 >= 3 else None

    rows = wait_for(used, 40, "bob's seconds to be in the records", interval=0.5, hint=lab.logs)
    assert rows[people.bob.name]["allocated_gpu_hours"] == 0
    assert rows[people.bob.name]["charged_gpu_hours"] > 0

    # Bob ends; the job that waited for his GPU starts when the other one ends, too.
    lab.engine.docker("rm", "-f", "labqt-byhand")
    node.processes = {pid: at for pid, at in node.processes.items() if at[0] == 1}
    node.write()
    node.wait(0, lambda gpu: not gpu["outside"], "the GPU to be free again")
    lab.labq("cancel", one["id"])
    node.processes.clear()
    node.write()
    node.running(two["id"])


@pytest.fixture
def exporter(node: Node, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """The exporter beside the lab's agent; returns how to read its page."""
    daemon = Daemon("labq-exporter", tmp_path)
    daemon.start([str(BIN / "labq-exporter"), "--port", "0"], node.lab.env())
    url = wait_for(
        lambda: "".join(re.findall(r"http://\S+/metrics", daemon.tail())[:1]),
        20,
        "it to answer",
        hint=daemon.tail,
    )

    def page() -> str:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310
            return str(answer.read().decode())

    yield page
    daemon.end()


@pytest.mark.timeout(180)
def test_a_job_is_its_owners_by_its_lease_and_a_forged_label_is_nobodys(
    node: Node, exporter: Callable[[], str], people: People, tmp_path: Path
) -> None:
    lab = node.lab
    job = lab.json("submit", "--gpus", "1", *SLEEP)
    shown = node.running(job["id"])
    gpu = 0 if shown["gpus"] == [gpu_uuid(0)] else 1
    (own,) = lab.engine.docker("ps", "-q", "--no-trunc", "--filter", f"label=labq.job={job['id']}").split()
    (inspected,) = lab.engine.client.api.containers(filters={"id": own})
    forged = [f"{key}={value}" for key, value in inspected["Labels"].items() if key.startswith("labq.")]
    forged = [text for text in forged if not text.startswith(("labq.agent", "labq.node"))]
    # Everything copied from the job but its lease, which has another token.
    forged = [text if not text.startswith("labq.lease") else "labq.lease=0123456789abcdef" for text in forged]
    thief = foreign(
        node, *(part for text in forged for part in ("--label", text)), "-v", f"{people.carol.home}:/h"
    )
    node.processes = {node.pid(own): (gpu, GIB), node.pid(thief): (1 - gpu, GIB)}
    node.write()

    def holder(index: int) -> str:
        lines = exporter().splitlines()
        start = "labq_gpu_holder_info{"
        return next(
            (one for one in lines if one.startswith(start) and f'gpu="{index}"' in one and "source" in one),
            "",
        )

    queue = wait_for(
        lambda: text if 'source="queue"' in (text := holder(gpu)) and 'container="labq' in text else "",
        20, "the job to be named", interval=0.2,
    )  # fmt: skip
    assert f'user="{shown["owner"]}"' in queue
    assert f'job_id="{job["id"]}"' in queue
    outside = wait_for(lambda: holder(1 - gpu), 20, "the thief to be named", interval=0.2)
    assert f'user="{people.carol.name}"' in outside
    assert 'job_id=""' in outside
    assert 'disputed="true"' in outside
    taken = node.wait(1 - gpu, lambda each: each["outside"], "the queue to see it, too")
    assert taken["outside"][0]["user"] == people.carol.name
    assert "lease" in taken["outside"][0]["disputed"]

    # What dcgm-exporter and jobstats read says the same, for as long as the job holds the GPU.
    told = tmp_path / "dcgm" / str(gpu), tmp_path / "gpustat" / gpu_uuid(gpu)
    assert [path.read_text().split()[0] for path in told] == [job["id"], job["id"]]
    assert [path.name for path in (tmp_path / "dcgm").glob("[!.]*")] == [str(gpu)]
    lab.labq("cancel", job["id"])
    wait_for(
        lambda: not any(path.exists() for path in told), 20, "the files to go with the job", hint=lab.logs
    )


@pytest.mark.timeout(240)
def test_neither_an_agent_that_restarts_nor_a_driver_that_stalls_makes_taken_gpus_look_free(
    node: Node, people: People
) -> None:
    lab = node.lab
    for gpu in (0, 1):
        container = foreign(node, "-v", f"{people.bob.home}:/data")
        node.processes[node.pid(container)] = (gpu, 2 * GIB)
    node.write()
    for gpu in (0, 1):
        node.wait(gpu, lambda each: each["outside"], "the foreign use to be seen")
    job = lab.json("submit", "--gpus", "1", *SLEEP)

    def waits_for(seconds: float) -> None:
        until = monotonic() + seconds
        while monotonic() < until:
            assert lab.json("show", job["id"])["state"] == "queued", lab.logs()

    node.wait(0, lambda each: each["outside"], "it to be seen still")
    for _ in range(2):
        lab.kill9("agent")
        waits_for(6)
        node.wait(0, lambda each: each["outside"], "the new agent to see it")
    node.nvml.add("hang 0", "hang 1")
    node.wait(0, lambda each: not each["outside"], "the readings to be too old")
    waits_for(6)
    assert "is not known yet" in lab.labq("why", job["id"]).stdout
    node.processes.clear()
    node.write()
    node.running(job["id"])


@pytest.mark.timeout(120)
def test_memory_that_an_ended_job_left_behind_keeps_the_gpu_from_the_next(node: Node) -> None:
    lab = node.lab
    first = lab.json("submit", "--gpus", "2", *SLEEP)
    node.running(first["id"])
    (own,) = lab.engine.docker("ps", "-q", "--no-trunc", "--filter", f"label=labq.job={first['id']}").split()
    node.processes = {node.pid(own): (0, 20 * GIB)}
    node.write()
    node.wait(0, lambda each: each["state"] == "busy", "its process to be seen")
    lab.labq("cancel", first["id"])
    lab.labq("wait", first["id"], check=False)

    # The process has gone, and the driver keeps its memory.
    def is_leak(gpu: dict[str, Any]) -> bool:
        return [(each["job"], each["source"]) for each in gpu["outside"]] == [(first["id"], "gone")]

    node.wait(0, is_leak, "the leak to be seen")
    two = lab.json("submit", "--gpus", "2", *SLEEP)
    why = wait_for(
        lambda: text if "is over" in (text := lab.labq("why", two["id"]).stdout) else "",
        30,
        "the reason",
        hint=lab.logs,
    )
    assert f"job {first['id']} is over, but its processes or its memory are still on GPU 0" in why
    node.processes.clear()
    node.write()
    node.running(two["id"])
