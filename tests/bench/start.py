"""Submit -> first instruction in the container, against `docker run` with the same options, in turn."""

from __future__ import annotations

import json
import subprocess

from support.engine import BUSYBOX
from support.lab import BIN, Lab

from bench.table import row, title
from labq.clock import now

ROUNDS = 40
WARM_UP = 3
#: The file's time of change is the moment of the first instruction (the shell's), to a tick of the kernel.
COMMAND = ("sh", "-c", ": > /outputs/first")
FLAGS = ("--cpus", "1", "--memory", "256MB", "--gpus", "1")


def measure(lab: Lab) -> None:
    """Print both and their difference, pair by pair."""
    title("submit -> first instruction (image ready, idle machine), against docker run with the same options")
    options = _docker_options(lab)
    ours, plain = [], []
    for number in range(WARM_UP + ROUNDS):
        labq, docker = _labq(lab), _docker(lab, options)
        if number >= WARM_UP:
            ours.append(labq * 1000)
            plain.append(docker * 1000)
    row("labq submit --image … (whole process to first instruction)", ours, "ms")
    row("docker run, same options", plain, "ms")
    row(
        "difference, pair by pair",
        [a - b for a, b in zip(ours, plain, strict=True)],
        "ms",
        "+50 median, +120 p95",
    )


def _labq(lab: Lab) -> float:
    began = now()
    command = [str(BIN / "labq"), "submit", "--image", BUSYBOX, *FLAGS, "--json", "--", *COMMAND]
    said = subprocess.run(command, env=lab.env(), capture_output=True, check=True).stdout
    job = str(json.loads(said)["id"])
    lab.labq("wait", job)
    return (lab.data / "outputs" / job / "1" / "first").stat().st_mtime - began


def _docker(lab: Lab, options: list[str]) -> float:
    first = lab.directory / "outputs" / "first"
    first.parent.mkdir(exist_ok=True)
    first.unlink(missing_ok=True)
    began = now()
    subprocess.run(
        ["docker", "run", "--rm", "--volume", f"{first.parent}:/outputs", *options, BUSYBOX, *COMMAND],
        env=lab.env(), capture_output=True, check=True,
    )  # fmt: skip
    return first.stat().st_mtime - began


def _docker_options(lab: Lab) -> list[str]:
    """Return the options of docker run that make the container that labq makes, read from such a container."""
    job = lab.json("submit", "--image", BUSYBOX, *FLAGS, "--", "sleep", "60")["id"]
    from support.waiting import wait_for

    wait_for(lambda: lab.json("show", job)["state"] == "running", 30, "the model container", hint=lab.logs)
    name = lab.engine.docker("ps", "-q", "--filter", f"label=labq.job={job}").strip()
    (found,) = json.loads(lab.engine.docker("inspect", name))
    lab.labq("cancel", job)
    lab.labq("wait", job, check=False)
    host, config = found["HostConfig"], found["Config"]
    options = ["--init", "--user", config["User"], "--security-opt", "no-new-privileges"]
    options += [
        "--memory",
        str(host["Memory"]),
        "--memory-swap",
        str(host["MemorySwap"]),
        "--cpus",
        str(host["NanoCpus"] / 1e9),
    ]
    options += ["--shm-size", str(host["ShmSize"]), "--pids-limit", str(host["PidsLimit"])]
    options += ["--log-driver", host["LogConfig"]["Type"], "--cgroup-parent", host["CgroupParent"]]
    for key, value in host["LogConfig"]["Config"].items():
        options += ["--log-opt", f"{key}={value}"]
    for key, value in config["Labels"].items():
        if not key.startswith("labq.lease"):
            options += ["--label", f"bench.{key}={value}"]
    for variable in config["Env"]:
        options += ["--env", variable]
    binds = host["Binds"] or []
    for number, bind in enumerate(b for b in binds if ":/outputs" not in b):
        options += ["--volume", f"{lab.directory}:{bind.split(':')[1]}-{number}"]
    for mount in (m for m in host.get("Mounts") or [] if m["Target"] != "/outputs"):
        options += ["--mount", f"type=bind,source={lab.directory},target={mount['Target']}"]
    return options
