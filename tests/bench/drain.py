"""200 trivial containers through one agent, against the Docker SDK alone with four threads, in one run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import docker
from support.engine import BUSYBOX
from support.lab import Lab
from support.waiting import wait_for

from bench.table import row, title
from labq.clock import monotonic
from labq.store import Store

COUNT, ROUNDS = 200, 3


def measure(lab: Lab) -> None:
    """Print containers per second of both, and the ratio."""
    title("drain of 200 trivial containers")
    lab.labq("wait", lab.json("submit", "--image", BUSYBOX, "--", "true")["id"])
    ours, plain = [], []
    store = Store(lab.redis_url)
    for _ in range(ROUNDS):
        plain.append(_sdk(lab))
        ours.append(_labq(lab, store))
    row("through labq, one agent", ours, "/s")
    row("Docker SDK alone, four threads", plain, "/s")
    row("ratio", [a / b for a, b in zip(ours, plain, strict=True)], "", ">= 0.9")


def _labq(lab: Lab, store: Store) -> float:
    began = monotonic()
    flags = ("--cpus", "1", "--memory", "64MB", "--array", f"0-{COUNT - 1}")
    lab.json("submit", "--image", BUSYBOX, *flags, "--", "true")
    # Redis is asked: a `labq ls` each time would take a core from what is measured.
    wait_for(lambda: not store.jobs.active_ids(), 300, "all to end", interval=0.05, hint=lab.logs)
    return COUNT / (monotonic() - began)


def _sdk(lab: Lab) -> float:
    """Do what labq must do for each, with the same options: create, attach, start, wait, read the end, remove."""
    api = docker.APIClient(base_url=lab.engine.host, num_pools=20)
    outputs, home = lab.directory / "bench-outputs", lab.directory / "bench-home"
    outputs.mkdir(exist_ok=True)
    home.mkdir(exist_ok=True)
    host = api.create_host_config(
        init=True, security_opt=["no-new-privileges"], nano_cpus=10**9, mem_limit=2**26, memswap_limit=2**26,
        shm_size=2**25, pids_limit=32768, cgroup_parent="/labq/bench",
        log_config=docker.types.LogConfig(type="local", config={"max-size": "1g", "max-file": "2", "compress": "false"}),
        mounts=[docker.types.Mount("/outputs", str(outputs), "bind"), docker.types.Mount("/home/root", str(home), "bind")],
    )  # fmt: skip
    labels = {"labq.test": "1", **{f"bench.{number}": "x" * 16 for number in range(6)}}

    def one(number: int) -> None:
        made = api.create_container(
            BUSYBOX, ["true"], name=f"bench-{number}", user="0:0", labels=labels, host_config=host,
            environment={f"LABQ_{n}": "x" for n in range(12)},
        )  # fmt: skip
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
