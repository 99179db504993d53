"""Secrets, mounts and GPUs: what a job is given, and what it is not."""

import json
from pathlib import Path

import pytest
from integration.worker.conftest import Maker
from integration.worker.node import UID, AgentNode
from support.nvml import MockNvml, gpu_line, gpu_uuid
from support.waiting import wait_for

from labq.ending import EndReason
from labq.states import JobState

SECRET = "s3cr3t-value-0815"


def test_secrets_are_files_and_nowhere_else(node: AgentNode) -> None:
    script = "echo $API_KEY_FILE; sha256sum < $API_KEY_FILE; ls -ln /run/secrets; sleep 60"
    job_id = node.begin(script, secrets={"API_KEY": SECRET})
    wait_for(lambda: b"API_KEY\n" in node.log(job_id), 5, "the listing")
    (container,) = node.containers(job=job_id)
    assert SECRET not in json.dumps(node.docker.api.inspect_container(container.id))
    said = node.log(job_id).decode()
    assert said.startswith("/run/secrets/API_KEY\n")
    assert f"-r--------    1 {UID}" in said
    mounts = node.docker.api.inspect_container(container.id)["HostConfig"]["Binds"]
    source = Path(next(bind for bind in mounts if "/run/secrets" in bind).split(":")[0])
    assert (source / "API_KEY").read_text() == SECRET
    assert source.parent.stat().st_mode & 0o777 == 0o700
    node.cancel(job_id)
    node.final(job_id)
    node.gone(job_id)
    wait_for(lambda: not source.exists(), 5, "the secret to be removed")
    assert SECRET not in node.said()


@pytest.fixture(scope="module")
def mounting(make_node: Maker, tmp_path_factory: pytest.TempPathFactory) -> tuple[AgentNode, Path]:
    root = tmp_path_factory.mktemp("site")
    for name in ("data", "scratch", "private"):
        (root / name).mkdir()
        (root / name).chmod(0o777)
    (root / "data" / "set.txt").write_text("data\n")
    (root / "private" / "key").write_text("private\n")
    (root / "data" / "link").symlink_to(root / "private")
    node = make_node("mounts", {"LABQ_MOUNTS": f"{root}/data:ro,{root}/scratch:rw"})
    node.start()
    return node, root


def test_mounts(mounting: tuple[AgentNode, Path]) -> None:
    node, root = mounting
    script = "cat /in/set.txt; echo out > /out/made; touch /in/x || echo read-only"
    job = node.run(script, mounts=[f"{root}/data:/in:ro", f"{root}/scratch:/out:rw"])
    assert job.state is JobState.SUCCEEDED, job.verdict
    assert b"data\n" in node.log(job.id)
    assert b"read-only\n" in node.log(job.id)
    assert (root / "scratch" / "made").read_text() == "out\n"


@pytest.mark.parametrize(
    ("mount", "says"),
    [
        ("{root}/data/link:/x:ro", "is not allowed on this node"),
        ("{root}/private:/x:ro", "is not allowed on this node"),
        ("{root}/data:/x:rw", "may only be read"),
        ("{root}/data/nothing:/x:ro", "is not on this node"),
        ("/etc:/x:ro", "is not allowed on this node"),
    ],
)
def test_mounts_that_are_refused(mounting: tuple[AgentNode, Path], mount: str, says: str) -> None:
    node, root = mounting
    job = node.run("cat /x/key", mounts=[mount.format(root=root)])
    assert job.end_reason is EndReason.START_FAILED
    assert says in (job.verdict or "")
    assert not node.containers(job=job.id)


def test_two_real_gpus_go_to_the_nvidia_runtime_by_uuid(make_node: Maker, mock_nvml: MockNvml) -> None:
    mock_nvml.write(
        "driver 580.95.05",
        gpu_line(0, used=3 * 2**30, util=42),
        gpu_line(1),
        gpu_line(2, "NVIDIA A100-SXM4-80GB"),
    )
    settings = mock_nvml.env() | {"LABQ_GPUS": "auto"}
    node = make_node(
        "nvml", {key: settings[key] for key in ("LD_LIBRARY_PATH", "LABQ_MOCK_NVML", "LABQ_GPUS")}
    )
    node.start()
    assert [gpu.uuid for gpu in node.node().gpus] == [gpu_uuid(i) for i in range(3)]
    assert node.node().facts["driver"] == "580.95.05"
    assert "simulated" not in node.node().facts

    def reading() -> dict[str, float]:
        (_, readings) = next(pair for pair in node.store.nodes.all_with_readings() if pair[0].name == "nvml")
        return dict(readings.get("gpus", {}).get(gpu_uuid(0), {}))

    first = wait_for(reading, 10, "readings")
    measured = {"memory_used": 3 * 2**30, "utilization": 42, "temperature": 40, "power": 60.0}
    assert first == {"state": "free", "holders": [], **measured}
    wanted = [gpu_uuid(0), gpu_uuid(2)]
    job_id = node.submit("env; sleep 60")
    node.claim(job_id, wanted)
    node.state(job_id, JobState.RUNNING)
    (container,) = node.containers(job=job_id)
    requests = node.docker.api.inspect_container(container.id)["HostConfig"]["DeviceRequests"]
    assert [(r["Driver"], r["DeviceIDs"]) for r in requests] == [("nvidia", wanted)]
    said = wait_for(lambda: node.log(job_id), 5, "its environment").decode().splitlines()
    assert f"NVIDIA_VISIBLE_DEVICES={','.join(wanted)}" in said
    assert f"LABQ_GPUS={','.join(wanted)}" in said
    assert "LABQ_GPUS_SIMULATED=1" not in said
    node.cancel(job_id)
    assert not node.final(job_id).simulated
    mock_nvml.add("lost 1")
    faulty = wait_for(
        lambda: [g.index for g in node.node().gpus if g.fault], 10, "the lost GPU to be noticed"
    )
    assert faulty == [1]
