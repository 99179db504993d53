"""GPUs that are near each other, from the driver to the container."""

from __future__ import annotations

from typing import Any

from support.engine import BUSYBOX
from support.lab import Lab
from support.lab_fixtures import MakeLab
from support.nvml import MockNvml, gpu_line, gpu_uuid
from support.waiting import wait_for


def test_a_job_for_two_gpus_gets_two_that_nvlink_joins_and_single_ones_share_the_other_pair(
    make_lab: MakeLab, mock_nvml: MockNvml
) -> None:
    mock_nvml.write("driver 580.95.05", *(gpu_line(index) for index in range(4)), "nvlink 0 3", "nvlink 1 2")
    env = mock_nvml.env()
    lab = make_lab("auto", {name: env[name] for name in ("LD_LIBRARY_PATH", "LABQ_MOCK_NVML")})
    wait_for(
        lambda: "joined by NVLink: 0+3, 1-2\n" in lab.labq("nodes").stdout,
        30, "the node to say what is near", interval=0.2, hint=lab.logs,
    )  # fmt: skip
    single = running(lab, "1")
    assert single["gpus"] == [gpu_uuid(0)]
    double = running(lab, "2")
    assert double["gpus"] == [gpu_uuid(1), gpu_uuid(2)]
    assert running(lab, "1")["gpus"] == [gpu_uuid(3)]


def running(lab: Lab, gpus: str) -> dict[str, Any]:
    """Submit a job and return it once it runs."""
    made = lab.json("submit", "--image", BUSYBOX, "--gpus", gpus, "--cpus", "0.1", "--", "sleep", "60")

    def shown() -> dict[str, Any]:
        job: dict[str, Any] = lab.json("show", made["id"])
        return job if job["state"] == "running" else {}

    return wait_for(shown, 60, "the job to run", interval=0.2, hint=lab.logs)
