"""What the API says of nodes, builds and outputs when things are not as usual."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from builders import make_node
from integration.scheduler_api.server_process import FakeAgent, Server, error_of, make_tar, submit

from labq import __version__
from labq.clock import now
from labq.errors import UnavailableError
from labq.image import ImageOnNode
from labq.logfile import STDOUT, LogWriter
from labq.moves import Claim, starting
from labq.store import Person, Store
from labq_scheduler.board import Board
from labq_scheduler.dispatch import Dispatcher
from labq_scheduler.files.contexts import ContextFiles
from labq_scheduler.files.layout import DataDir
from labq_scheduler.records.history import History
from labq_scheduler.usage.ledger import Ledger
from labq_scheduler.verbs import doctor, listing
from labq_scheduler.verbs.lab import Lab, Site


@pytest.fixture
def lab(redis_url: str, tmp_path: Path) -> Lab:
    """The parts without a server; the board is not started."""
    store, files = Store(redis_url), DataDir(tmp_path)
    files.make()
    history = History("", tmp_path)
    contexts = ContextFiles(files, 2**20)
    board = Board(store, history.states)
    ledger = Ledger(board, history, lambda: 7 * 86_400.0)
    return Lab(store, board, Dispatcher(redis_url), files, contexts, history, ledger, Site())


def test_a_list_from_a_server_that_knows_nothing_yet_is_refused_not_empty(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab.board, "wait_caught_up", lambda timeout=2.0: False)
    question = listing.parse({}, Person("ann", 1, 1), now=now())
    with pytest.raises(UnavailableError) as caught:
        listing.find_page(lab, question, now=now())
    assert caught.value.next
    assert caught.value.http_status == 503


@pytest.mark.parametrize(("skew", "word"), [(60.0, "ahead of"), (-60.0, "behind")])
def test_the_doctor_sees_a_clock_that_is_ahead_or_behind(lab: Lab, skew: float, word: str) -> None:
    lab.store.nodes.register(make_node("n1"), now=now() + skew)
    lab.store.nodes.heartbeat("n1", {}, now=now() + skew)
    found = {row["name"]: row for row in doctor.findings(lab, now=now(), loop_seen=None)}
    assert found["node n1"]["ok"] is False
    assert found["node n1"]["what"].endswith(f"{word} the server's")
    assert "NTP" in found["node n1"]["next"]


@pytest.mark.parametrize(("version", "told"), [("0.0.1", True), (__version__, False)])
def test_the_doctor_sees_an_agent_that_is_older_than_the_server(lab: Lab, version: str, told: bool) -> None:
    lab.store.nodes.register(replace(make_node("n1"), version=version), now=now())
    found = {row["name"]: row for row in doctor.findings(lab, now=now(), loop_seen=None)}
    assert found["node n1"]["ok"]
    assert ("labq on n1" in found) is told
    if told:
        assert version in found["labq on n1"]["what"]
        assert "--tags labq_package,labq_worker,labq_exporter" in found["labq on n1"]["next"]


def test_an_api_without_a_leader_says_that_nobody_decides(server: Server, alice: httpx.Client) -> None:
    found = {row["name"]: row for row in alice.get("/v1/doctor").json()}
    assert (found["leader"]["ok"], bool(found["leader"]["next"])) == (False, True)
    ready = httpx.get(f"{server.url}/readyz")
    assert (ready.status_code, ready.json()["leader"]) == (200, "nobody decides")


def test_a_job_may_wait_for_one_that_redis_has_forgotten(
    server: Server, alice: httpx.Client, agent: FakeAgent
) -> None:
    old = submit(alice)
    agent.run(old)
    agent.end(old)
    server_records = History("", server.data)
    server_records.put(server.store.jobs.get_many([old]))
    server_records.close()
    server.store.connection.client.delete(f"labq:job:{old}")
    submit(alice, after=[old])
    answer = alice.post("/v1/jobs", json={"spec": {"image": "busybox", "after": ["99999999"]}})
    assert answer.status_code == 404


def test_a_build_log_is_for_those_who_have_a_job_with_the_image(
    server: Server, alice: httpx.Client, bob: httpx.Client, admin: httpx.Client
) -> None:
    mine = submit(alice)
    key = f"ctx:{uuid4().hex}"
    # The image of a build has no legal spec without its context: the record is made to name it.
    server.store.connection.client.hset(f"labq:job:{mine}", "image_key", key)
    server.store.connection.client.xadd(
        "labq:events",
        {"type": "noted", "at": 1, "id": mine, "owner": alice.headers["x-test-name"],
         "set": f'{{"image_key": "{key}"}}'},
    )  # fmt: skip
    writer = LogWriter(server.data / "logs/images" / f"{key.replace(':', '-')}@n1-1.labqlog")
    writer.write(STDOUT, 10**9, b"token=hunter2\n")
    writer.close()
    server.store.images.set(key, "n1", ImageOnNode("ready", now(), "sha256:x", run=1))
    assert alice.get("/v1/jobs").status_code == 200  # the board has seen it
    assert alice.get(f"/v1/images/{key}/log").content == b"token=hunter2\n"
    assert admin.get(f"/v1/images/{key}/log").content == b"token=hunter2\n"
    refused = bob.get(f"/v1/images/{key}/log")
    assert (refused.status_code, b"hunter2" in refused.content) == (403, False)


def test_a_node_is_forgotten_when_it_is_gone_and_nothing_holds_it(
    server: Server, alice: httpx.Client, admin: httpx.Client
) -> None:
    node = make_node(f"n{uuid4().hex[:6]}")
    path = f"/v1/nodes/{node.name}"
    server.store.nodes.register(node, now=now())
    assert alice.delete(path).status_code == 403
    takes = admin.delete(path)
    assert (takes.status_code, "drain" in error_of(takes)["next"]) == (409, True)
    job = server.store.jobs.get(submit(alice))
    claim = Claim("l", node, (), 0.1, 1)
    server.store.jobs.move(job, starting(job, claim), now=now(), by="t", claim=claim)
    admin.post(f"{path}/drain")
    held = admin.delete(path)
    assert (held.status_code, job.id in error_of(held)["what"]) == (409, True)
    alice.post(f"/v1/jobs/{job.id}/cancel")
    server.store.connection.client.delete(f"labq:leases:{node.name}")
    assert admin.delete(path).json()["name"] == node.name
    assert admin.get(path).status_code == 404
    assert admin.delete(path).status_code == 404


def test_outputs_that_are_being_sent_are_awaited_however_long_it_takes(
    server: Server, alice: httpx.Client, agent: FakeAgent
) -> None:
    job_id = submit(alice)
    agent.run(job_id)
    agent.end(job_id, at=now() - 3000)
    part = server.data / "outputs" / job_id / "1.tar.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x")
    answer = alice.get(f"/v1/jobs/{job_id}/outputs")
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    os.utime(part, (now() - 3000, now() - 3000))
    assert alice.get(f"/v1/jobs/{job_id}/outputs").status_code == 404


def test_what_a_container_wrote_here_counts_more_than_a_stray_tar(
    server: Server, alice: httpx.Client, agent: FakeAgent
) -> None:
    job_id = submit(alice)
    agent.run(job_id)
    agent.end(job_id)
    root = server.data / "outputs" / job_id / "1"
    root.mkdir(parents=True)
    (root / "real").write_text("here")
    root.with_suffix(".tar").write_bytes(make_tar(stray=b"elsewhere"))
    data = alice.get(f"/v1/jobs/{job_id}/outputs").content
    assert (b"here" in data, b"elsewhere" in data) == (True, False)
