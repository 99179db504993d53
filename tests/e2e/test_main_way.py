"""The way of a new user: a directory with a Dockerfile, submitted, followed, fetched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from support.engine import BUSYBOX
from support.lab import Lab

DOCKERFILE = f"""FROM {BUSYBOX}
COPY train.sh /app/train.sh
RUN echo building the image NONCE && chmod a+rx /app/train.sh
CMD ["/app/train.sh"]
"""
TRAIN = """#!/bin/sh
echo "epoch 1 on $NVIDIA_VISIBLE_DEVICES"
echo "warning: none" >&2
echo "seed $LABQ_SEED job $LABQ_JOB_ID as $(id -u):$(id -g) $USER"
echo weights > "$LABQ_OUTPUT_DIR/model.bin"
mkdir /outputs/plots && echo png > /outputs/plots/loss.png && ln -s model.bin /outputs/latest
touch "$HOME/.cache" && echo "home is writable"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "my project"
    directory.mkdir()
    # The engine of the tests keeps its layers between runs: this one must be new.
    (directory / "Dockerfile").write_text(DOCKERFILE.replace("NONCE", uuid4().hex))
    (directory / "train.sh").write_text(TRAIN)
    (directory / "labq.toml").write_text('gpus = "1"\nmemory = "64MB"\ncpus = 0.5\ntags = ["try"]\n')
    return directory


def test_a_directory_is_built_run_followed_and_fetched(lab: Lab, project: Path, tmp_path: Path) -> None:
    followed = lab.labq("submit", str(project), "--name", "試し", "--follow")
    assert "building the image" in followed.stdout + followed.stderr
    assert "epoch 1 on SIM-" in followed.stdout
    assert "home is writable" in followed.stdout
    (job,) = lab.json("ls")
    assert (job["name"], job["state"], job["tags"], job["simulated"]) == ("試し", "succeeded", ["try"], True)
    shown = lab.json("show", job["id"])
    wanted = "id name owner state end_reason verdict exit_code node gpus attempts submitted_at started_at ended_at spec image"
    assert set(wanted.split()) <= set(shown)
    assert (shown["exit_code"], shown["end_reason"], len(shown["gpus"])) == (0, "completed", 1)
    assert shown["verdict"].startswith("Succeeded after")
    log = lab.labq("logs", job["id"])
    assert "warning: none" in log.stdout
    assert f"as {os.getuid()}:{os.getgid()}" in log.stdout
    target = tmp_path / "out"
    lab.labq("fetch", job["id"], "--to", str(target))
    assert (target / "model.bin").read_text() == "weights\n"
    assert (target / "plots" / "loss.png").exists()
    assert os.readlink(target / "latest") == "model.bin"
    assert "(sim" in lab.labq("nodes").stdout.lower()


def test_the_same_tree_is_neither_sent_nor_built_again(lab: Lab, project: Path) -> None:
    first = lab.labq("submit", str(project), "--follow")
    assert "building the image" in first.stdout + first.stderr
    before = _images(lab)
    second = lab.labq("submit", str(project), "--follow")
    assert "building the image" not in second.stdout + second.stderr
    assert "uploading" not in second.stderr
    assert _images(lab) == before
    assert len(list((lab.data / "contexts").glob("*.tar"))) == 1


def _images(lab: Lab) -> set[str]:
    return set(
        lab.engine.docker("images", "--quiet", "--no-trunc", "--filter", "reference=labq/built").split()
    )


def test_a_command_overrides_the_images_own_and_flags_win_over_the_file(lab: Lab, project: Path) -> None:
    job = lab.json(
        "submit",
        str(project),
        "--gpus",
        "2",
        "--tag",
        "mine",
        "--",
        "sh",
        "-c",
        "echo $NVIDIA_VISIBLE_DEVICES; exit 3",
    )
    result = lab.labq("wait", job["id"], check=False)
    assert result.returncode == 1
    shown = lab.json("show", job["id"])
    assert (shown["exit_code"], shown["end_reason"], len(shown["gpus"])) == (3, "exit_code", 2)
    assert lab.labq("logs", job["id"]).stdout.strip().split(",") == shown["gpus"]
    assert "exit code 3" in shown["verdict"]
    assert "mine" in shown["tags"]


def test_the_container_is_what_was_asked_for(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hunter2")
    job = lab.json(
        "submit", "--image", BUSYBOX, "--gpus", "1", "--cpus", "0.5", "--memory", "64MB", "--shm", "16MB",
        "--secret", f"TOKEN={tmp_path / 'key'}", "--env", "A=1", "--", "sh", "-c",
        "cat /run/secrets/TOKEN | wc -c; while ! [ -e /outputs/go ]; do sleep 0.05; done",
    )  # fmt: skip
    shown = _running(lab, job["id"])
    (name,) = lab.engine.docker(
        "ps", "--filter", f"label=labq.job={job['id']}", "--format", "{{.Names}}"
    ).split()
    raw = lab.engine.docker("inspect", name)
    (container,) = json.loads(raw)
    host, config = container["HostConfig"], container["Config"]
    assert name == f"labq-{shown['owner']}-{job['id']}-1"
    assert config["User"] == f"{os.getuid()}:{os.getgid()}"
    assert host["Init"] is True
    assert "no-new-privileges" in " ".join(host["SecurityOpt"])
    assert (host["NanoCpus"], host["Memory"], host["ShmSize"]) == (500_000_000, 64 * 2**20, 16 * 2**20)
    labels = config["Labels"]
    assert labels["labq.owner"] == shown["owner"]
    assert labels["labq.gpus"] == ",".join(shown["gpus"])
    assert {"labq.attempt", "labq.lease", "labq.node", "labq.simulated"} <= set(labels)
    assert "A=1" in config["Env"]
    assert "hunter2" not in raw
    lab.labq("cancel", job["id"])
    assert lab.labq("wait", job["id"], check=False).returncode == 2
    assert lab.labq("logs", job["id"]).stdout.strip() == "7"


def _running(lab: Lab, job_id: str) -> dict[str, Any]:
    from support.waiting import wait_for

    def running() -> dict[str, Any]:
        shown: dict[str, Any] = lab.json("show", job_id)
        return shown if shown["state"] == "running" else {}

    return wait_for(running, 20, f"job {job_id} to run", hint=lab.logs)
