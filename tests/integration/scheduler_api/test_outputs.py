"""Outputs over HTTP: of a directory of the server, and as a remote agent sends them."""

from __future__ import annotations

import io
import os
import tarfile

import httpx
from integration.scheduler_api.server_process import FakeAgent, Server, error_of, submit

SECOND = 10**9


def names_in(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar}


def test_the_outputs_of_a_directory_come_as_a_tar_that_follows_no_link(
    server: Server, alice: httpx.Client, agent: FakeAgent
) -> None:
    job_id = submit(alice)
    agent.run(job_id)
    root = server.data / "outputs" / job_id / "1"
    (root / "sub").mkdir(parents=True)
    (root / "sub/モデル.pt").write_bytes(os.urandom(700_000))
    (root / "empty").touch()
    (root / "secret").symlink_to("/etc/shadow")
    (root / "up").symlink_to("..")
    os.mkfifo(root / "pipe")
    (root / os.fsdecode(b"bytes\xff")).write_text("x")
    agent.end(job_id)
    data = alice.get(f"/v1/jobs/{job_id}/outputs").content
    members = names_in(data)
    assert set(members) == {"sub", "sub/モデル.pt", "empty", "secret", "up", os.fsdecode(b"bytes\xff")}
    assert members["secret"].issym()
    assert members["secret"].linkname == "/etc/shadow"
    assert members["up"].issym()
    assert (root / "sub/モデル.pt").read_bytes() in data


def test_outputs_that_a_remote_agent_sends_come_back_as_they_were(
    server: Server, alice: httpx.Client, agent: FakeAgent, node_token: httpx.Client
) -> None:
    job_id = submit(alice)
    none = alice.get(f"/v1/jobs/{job_id}/outputs")
    assert none.status_code == 409
    agent.run(job_id)
    assert "no outputs yet" in error_of(alice.get(f"/v1/jobs/{job_id}/outputs"))["what"]
    agent.end(job_id)
    early = alice.get(f"/v1/jobs/{job_id}/outputs")
    assert (early.status_code, early.headers["retry-after"]) == (409, "1")
    assert "on their way from n1" in error_of(early)["what"]
    data = os.urandom(3_000_000)
    sent = node_token.put(f"/v1/agent/outputs/{job_id}/1", content=iter([data[:1000], data[1000:]]))
    assert (sent.status_code, sent.json()) == (201, {"size": len(data)})
    answer = alice.get(f"/v1/jobs/{job_id}/outputs?attempt=1")
    assert answer.content == data
    assert f"labq-{job_id}.tar" in answer.headers["content-disposition"]


def test_a_job_without_outputs_says_what_to_do(
    server: Server, alice: httpx.Client, finished: str, node_token: httpx.Client
) -> None:
    (server.data / "outputs" / finished / "1").mkdir(parents=True)
    answer = alice.get(f"/v1/jobs/{finished}/outputs")
    assert answer.status_code == 404
    assert "/outputs" in error_of(answer)["next"]
    node_token.put(f"/v1/agent/outputs/{finished}/1", content=bytes(10_240))
    assert alice.get(f"/v1/jobs/{finished}/outputs").status_code == 404


def test_the_next_attempt_is_given_what_the_last_one_left(
    server: Server, alice: httpx.Client, agent: FakeAgent, node_token: httpx.Client
) -> None:
    job_id = submit(alice, retries=3)
    agent.run(job_id)
    assert node_token.get(f"/v1/agent/begin/{job_id}/1").status_code == 404
    agent.end(job_id, 3)
    nothing = node_token.get(f"/v1/agent/begin/{job_id}/2")
    assert nothing.status_code == 404
    assert "empty /outputs" in error_of(nothing)["what"]
    data = tar_of(checkpoint=b"41")
    assert node_token.put(f"/v1/agent/outputs/{job_id}/1", content=data).status_code == 201
    second = agent.run(job_id)
    given = node_token.get(f"/v1/agent/begin/{job_id}/2")
    assert (given.content, given.headers["x-labq-attempt"]) == (data, "1")
    assert given.headers["content-length"] == str(len(data))
    own = server.data / "outputs" / job_id / "2"  # this one ran on the server's machine
    own.mkdir()
    (own / "more").write_text("x")
    assert second.attempt == 2
    agent.end(job_id, 3)
    third = node_token.get(f"/v1/agent/begin/{job_id}/3")
    assert (set(names_in(third.content)), third.headers["x-labq-attempt"]) == ({"more"}, "2")


def test_between_two_attempts_fetch_gives_what_the_last_one_left(
    server: Server, alice: httpx.Client, agent: FakeAgent, node_token: httpx.Client
) -> None:
    job_id = submit(alice, retries=1)
    agent.run(job_id)
    agent.end(job_id, 3)
    data = tar_of(checkpoint=b"41")
    node_token.put(f"/v1/agent/outputs/{job_id}/1", content=data)
    assert alice.get(f"/v1/jobs/{job_id}/outputs").content == data
    agent.start(job_id)
    assert alice.get(f"/v1/jobs/{job_id}/outputs").content == data, "its container is still being made"
    why = alice.get(f"/v1/jobs/{job_id}/why").json()["why"]
    assert why == "its container is being made on n1, with what attempt 1 left in /outputs (10KB)"


def test_an_attempt_begins_only_on_its_own_node(
    server: Server, alice: httpx.Client, agent: FakeAgent
) -> None:
    job_id = submit(alice, retries=1)
    agent.run(job_id)
    agent.end(job_id, 3)
    agent.run(job_id)
    other, own = server.person("node-n2", agent=True), server.person("node-n1", agent=True)
    refused = other.get(f"/v1/agent/begin/{job_id}/2")
    assert refused.status_code == 403
    assert "is not on n2" in error_of(refused)["what"]
    assert own.get(f"/v1/agent/begin/{job_id}/2").status_code == 404
    assert own.get(f"/v1/agent/begin/{job_id}/x").status_code == 422
    assert alice.get(f"/v1/agent/begin/{job_id}/2").status_code == 403


def tar_of(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()
