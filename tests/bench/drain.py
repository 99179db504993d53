"""200 trivial containers through one agent, against the Docker SDK alone with four threads, in one run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import docker
from support.engine import BUSYBOX
from support.lab import Lab
from support.waiting import wait_for

from bench.table import row, title
from labq.clock import monotonic

COUNT, ROUNDS = 200, 3


def measure(lab: Lab) -> None:
    """Print containers per second of both, and the ratio."""
    title("drain of 200 trivial containers")
    lab.labq("wait", lab.json("submit", "--image", BUSYBOX, "--", "true")["id"])
    ours, plain = [], []
    for _ in range(ROUNDS):
        plain.append(_sdk(lab))
        ours.append(_labq(lab))
    row("through labq, one agent", ours, "/s")
    row("Docker SDK alone, four threads", plain, "/s")
    row("ratio", [a / b for a, b in zip(ours, plain, strict=True)], "", ">= 0.9")


def _labq(lab: Lab) -> float:
    began = monotonic()
    lab.json(
        "submit",
        "--image",
        BUSYBOX,
        "--cpus",
        "1",
        "--memory",
        "64MB",
        "--array",
        f"0-{COUNT - 1}",
        "--",
        "true",
    )
    wait_for(
        lambda: not lab.json("ls", "--state", "active", "--limit", "1"),
        300,
        "all to end",
        interval=0.25,
        hint=lab.logs,
    )
    return COUNT / (monotonic() - began)


def _sdk(lab: Lab) -> float:
    """Do what labq must do for each: create with the same limits, attach, start, wait, read the end, remove."""
    api = docker.APIClient(base_url=lab.engine.host, num_pools=20)
    host = api.create_host_config(
        init=True, security_opt=["no-new-privileges"], nano_cpus=10**9, mem_limit=2**26, memswap_limit=2**26,
        shm_size=2**25, pids_limit=4096, log_config=docker.types.LogConfig(type="local", config={}),
        binds=[f"{lab.directory}:/outputs"],
    )  # fmt: skip

    def one(_: int) -> None:
        made = api.create_container(
            BUSYBOX, ["true"], user="1000:1000", labels={"labq.test": "1"}, host_config=host
        )
        stream = api.attach(made, stream=True, stdout=True, stderr=True)
        api.start(made)
        b"".join(stream)
        api.wait(made)
        api.inspect_container(made)
        api.remove_container(made)

    began = monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(COUNT)))
    took = monotonic() - began
    api.close()
    return COUNT / took
