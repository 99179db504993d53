"""The test engine is a real one: it gives GPUs as the real path does, and its containers outlive it."""

import subprocess
import time
from typing import Any

import docker
import pytest
from support.engine import BUSYBOX, Engine


def run(engine: Engine, script: str, **options: Any) -> str:
    """Runs a shell script in a container and returns what it printed."""
    made = engine.client.containers.create(
        BUSYBOX, ["sh", "-c", script], labels={"labq.test": "1"}, **options
    )
    made.start()
    assert made.wait(timeout=60)["StatusCode"] == 0, made.logs().decode()
    return str(made.logs().decode())


def test_the_gpus_that_were_asked_for_are_the_visible_ones(clean_engine: Engine) -> None:
    wanted = ["GPU-00000000-0000-4000-8000-000000000001", "GPU-00000000-0000-4000-8000-000000000003"]
    gpus = docker.types.DeviceRequest(driver="nvidia", device_ids=wanted, capabilities=[["gpu"]])
    printed = run(clean_engine, "echo $NVIDIA_VISIBLE_DEVICES", device_requests=[gpus])
    assert printed.strip() == ",".join(wanted)


def test_without_asking_no_gpu_is_visible(clean_engine: Engine) -> None:
    assert run(clean_engine, "echo [$NVIDIA_VISIBLE_DEVICES]").strip() == "[]"


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_containers_outlive_the_daemon_and_lose_no_line(clean_engine: Engine, how: str) -> None:
    script = "for i in $(seq 1 40); do echo line $i; sleep 0.1; done; exit 7"
    made = clean_engine.client.containers.run(
        BUSYBOX, ["sh", "-c", script], labels={"labq.test": "1"}, detach=True, init=True
    )
    assert made.id is not None
    pid = clean_engine.client.api.inspect_container(made.id)["State"]["Pid"]
    {"kill": clean_engine.kill, "stop": clean_engine.stop}[how]()
    assert clean_engine.pid is None
    time.sleep(0.5)
    clean_engine.start()
    assert clean_engine.client.api.inspect_container(made.id)["State"]["Pid"] == pid
    assert made.wait(timeout=60)["StatusCode"] == 7
    assert made.logs().decode().splitlines() == [f"line {i}" for i in range(1, 41)]


def test_builds_reach_the_package_index(clean_engine: Engine) -> None:
    printed = clean_engine.docker(
        "run", "--rm", "--label", "labq.test=1", "python:3.11-slim", "pip", "download", "--no-deps", "six"
    )
    assert "six" in printed


def test_it_is_not_the_engine_of_this_machine(clean_engine: Engine) -> None:
    clean_engine.docker("create", "--label", "labq.test=1", "--name", "labq-test-apart", BUSYBOX, "true")
    others = subprocess.run(["docker", "ps", "-a"], capture_output=True, text=True, check=False)
    assert "labq-test-apart" not in others.stdout
