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
