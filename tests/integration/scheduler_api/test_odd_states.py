"""What is said of a job that waits for something else than its turn: the sentence, and the estimate or why there is none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from builders import free_readings
from integration.scheduler_api.server_process import NODE, Server, submit
from support.waiting import wait_for

from labq.clock import now
from labq.image import ImageOnNode


def why(client: httpx.Client, job_id: str) -> dict[str, Any]:
    answer = client.get(f"/v1/jobs/{job_id}/why")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def ann(own_server: Server) -> httpx.Client:
    """Somebody at a server that decides, in a lab without nodes."""
    own_server.start()
    return own_server.person()


def register(server: Server) -> None:
    server.store.nodes.register(NODE, now=now(), readings=free_readings(NODE))
    server.store.images.set("ref:busybox", NODE.name, ImageOnNode("ready", now(), "sha256:1"))


def test_of_a_lab_whose_nodes_take_no_work_nobody_says_when_nor_never(
    own_server: Server, ann: httpx.Client
) -> None:
    job_id = submit(ann, gpus="1")
    said = why(ann, job_id)
    assert said["why"] == "no node has joined the lab yet; start one with labq-worker"
    assert (said["estimate"], said["no_estimate"]) == (
        None, "not known while no node that could hold it takes work",
    )  # fmt: skip
    own_server.store.nodes.register(NODE, now=now(), readings=free_readings(NODE))
    own_server.store.nodes.set_drained(NODE.name, "new fans", now=now())
    wait_for(lambda: "drained: new fans" in why(ann, job_id)["why"], 10, "the drained node")
    assert why(ann, job_id)["no_estimate"] == said["no_estimate"]
    asked = ann.post("/v1/jobs:check", json={"spec": {"image": "busybox", "gpus": "1"}}).json()
    assert (asked["fits"], asked["estimate"], asked["no_estimate"]) == (
        [NODE.name],
        None,
        said["no_estimate"],
    )
    assert "drained: new fans" in asked["waits"]


def test_a_job_that_waits_for_another_is_estimated_once_it_is_there(
    own_server: Server, ann: httpx.Client
) -> None:
    register(own_server)
    first = submit(ann, gpus="8", time="1h")
    wait_for(lambda: ann.get(f"/v1/jobs/{first}").json()["state"] == "starting", 20, "the first job to start")
    spec = {"image": "busybox", "gpus": "1", "after": [first]}
    asked = ann.post("/v1/jobs:check", json={"spec": spec}).json()
    assert asked["waits"] == f"it waits for job {first} to succeed (now starting)"
    assert asked["no_estimate"] == "labq why tells it once the job is submitted"
    second = submit(ann, gpus="1", after=[first])
    wait_for(lambda: why(ann, second)["estimate"] is not None, 20, "an estimate")
    said = why(ann, second)
    assert said["why"] == asked["waits"]
    assert said["estimate"]["likely"] > ann.get(f"/v1/jobs/{second}").json()["submitted_at"]
    assert said["no_estimate"] is None


def test_a_job_whose_image_is_prepared_says_so_and_when_it_starts(
    own_server: Server, ann: httpx.Client
) -> None:
    own_server.store.nodes.register(NODE, now=now(), readings=free_readings(NODE))
    job_id = submit(ann, gpus="1")
    wait_for(lambda: "its image is" in why(ann, job_id)["why"], 10, "the image to be asked for")
    wait_for(lambda: why(ann, job_id)["estimate"] is not None, 20, "an estimate")
    assert why(ann, job_id)["estimate"]["node"] == NODE.name


def test_a_job_that_is_not_to_start_yet_starts_then(own_server: Server, ann: httpx.Client) -> None:
    register(own_server)
    job_id = submit(ann, gpus="1", not_before="2099-01-01T00:00:00Z")
    wait_for(lambda: why(ann, job_id)["estimate"] is not None, 20, "an estimate")
    said = why(ann, job_id)
    assert said["why"] == "it is not to start before 2099-01-01T00:00:00.000Z"
    assert (said["estimate"]["likely"], said["estimate"]["looked_until"] is None) == (None, False)
