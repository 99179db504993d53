"""A node's token is good for what is on that node."""

from __future__ import annotations

import httpx
import pytest
from builders import make_node
from integration.scheduler_api.server_process import FakeAgent, Server, submit

from labq.clock import now
from labq.store import Person

OFFSET = {"X-Offset": "0"}


@pytest.fixture
def queued(server: Server) -> str:
    """A job of ann."""
    server.store.nodes.register(make_node("n1", gpus=8, cpus=1000.0, memory=2**50), now=now())
    return submit(server.person("ann"))


def send(client: httpx.Client, job: str, attempt: int = 1) -> tuple[int, int]:
    """The statuses of a piece of a log and of outputs."""
    log = client.put(f"/v1/agent/logs/{job}/{attempt}.labqlog", headers=OFFSET, content=b"")
    tar = client.put(f"/v1/agent/outputs/{job}/{attempt}", content=b"\0" * 10240)
    return log.status_code, tar.status_code


@pytest.fixture
def job(server: Server, queued: str) -> str:
    """The same, starting on n1."""
    FakeAgent(server.store, server.data).start(queued)
    assert server.store.jobs.get(queued).node == "n1"
    return queued


def test_a_node_writes_logs_and_outputs_of_what_it_holds(server: Server, job: str) -> None:
    assert send(server.person("node-n1", agent=True), job) == (200, 201)


def test_another_node_does_not(server: Server, job: str) -> None:
    other = server.person("node-n2", agent=True)
    assert send(other, job) == (403, 403)
    assert "not on n2" in other.put(f"/v1/agent/outputs/{job}/1", content=b"").json()["error"]["what"]


def test_nor_does_the_node_of_an_attempt_that_was_never_made(server: Server, job: str) -> None:
    assert send(server.person("node-n1", agent=True), job, 2) == (403, 403)


def test_nor_of_a_job_that_nobody_knows(server: Server, job: str) -> None:
    assert send(server.person("node-n1", agent=True), "99999") == (404, 404)


def test_a_node_still_brings_what_it_held_before_the_job_went_on_elsewhere(
    server: Server, queued: str
) -> None:
    agent = FakeAgent(server.store, server.data)
    agent.run(queued)
    agent.end(queued)
    assert server.store.jobs.get(queued).attempts[0].node == "n1"
    assert send(server.person("node-n1", agent=True), queued) == (200, 201)


def test_a_node_writes_the_logs_of_its_own_builds_only(server: Server) -> None:
    client = server.person("node-n1", agent=True)
    mine, theirs = (
        ("ctx-ab@n1-5", "ref-x@sha256-ab@n1-5"),
        ("ctx-ab@n2-5", "ctx-ab@n1-x", "ctx-ab@x-n1-5", "n1-5"),
    )
    for name, status in (*((each, 200) for each in mine), *((each, 403) for each in theirs)):
        sent = client.put(f"/v1/agent/logs/images/{name}.labqlog", headers=OFFSET, content=b"")
        assert sent.status_code == status, name


def test_a_token_that_is_bound_to_no_node_sends_anything_as_before(server: Server, job: str) -> None:
    assert send(server.person("agent-laptop", agent=True), job) == (200, 201)


def test_no_person_is_called_as_an_agent_and_none_that_was_becomes_one_by_a_join(server: Server) -> None:
    admin = server.person("root1", admin=True)
    refused = admin.put("/v1/users/node-n7", json={"uid": 1007, "gid": 1007})
    assert "agents of nodes are called node-NODE" in refused.json()["error"]["what"]
    server.store.people.put(Person("node-n7", 1007, 1007))  # of an older server
    token = server.store.joining.new_token("n7")
    refused = httpx.post(f"{server.url}/v1/join", json={"name": "n7", "token": token})
    assert refused.status_code == 409
    assert "node-n7 is a person of this lab" in refused.json()["error"]["what"]
    assert server.store.people.get("node-n7") == Person("node-n7", 1007, 1007)
    server.store.people.remove("node-n7")
    assert httpx.post(f"{server.url}/v1/join", json={"name": "n7", "token": token}).status_code == 201
