"""GPU-hours over HTTP: what ran, what runs, what agents measured; and people's groups."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from builders import make_job, make_node
from integration.scheduler_api.server_process import FakeAgent, Server, error_of, name_of, ran, submit
from support.waiting import wait_for

from labq import moves
from labq.clock import now
from labq.job import GpuHold
from labq.moves import Claim
from labq.usage import HOUR, UsageRow

GB = 2**30
CARDS = make_node("cards", gpus=4, gpu_memory=24 * GB, cpus=64.0)


@pytest.fixture
def cards(server: Server) -> Iterator[None]:
    """The node with the cards, for as long as the test runs."""
    server.store.nodes.register(CARDS, now=now())
    yield
    server.store.nodes.remove(CARDS.name, now=now())


def row_of(answer: httpx.Response, key: str) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return next((row for row in answer.json()["rows"] if row["key"] == key), {})


@pytest.mark.usefixtures("cards")
def test_runs_that_are_over_and_that_go_on_are_counted_by_their_part_of_the_window(
    server: Server, alice: httpx.Client, bob: httpx.Client
) -> None:
    me = name_of(alice)
    ran(server, alice, CARDS, GpuHold("cards-0"), GpuHold("cards-1"), ago=10 * HOUR, seconds=2 * HOUR)
    ran(server, alice, CARDS, GpuHold("cards-2", 6 * GB), ago=4 * HOUR, seconds=0.0)
    url = "/v1/usage"

    def allocated(**query: str) -> float:
        return float(row_of(bob.get(url, params=query), me).get("allocated_gpu_hours", 0.0))

    wait_for(lambda: allocated() == pytest.approx(4.0 + 1.0, abs=0.01), 10, "the run to be recorded")
    assert allocated(since="9h") == pytest.approx(2.0 + 1.0, abs=0.01)
    assert allocated(since="2h") == pytest.approx(0.5, abs=0.01)
    assert allocated(since="11h", until="9h") == pytest.approx(2.0, abs=0.01)
    row = row_of(bob.get(url, params={"user": me}), me)
    assert (row["jobs"], row["busy_gpu_hours"], row["idle_gpu_hours"]) == (2, None, None)
    assert row["charged_gpu_hours"] == pytest.approx(5.0, rel=0.06)
    by_node = bob.get(url, params={"by": "node", "user": me}).json()
    assert [(one["key"], one["jobs"]) for one in by_node["rows"]] == [("cards", 2)]
    assert by_node["total"]["allocated_gpu_hours"] == pytest.approx(5.0, abs=0.01)
    assert by_node["total"]["charged_gpu_hours"] is None


def test_what_agents_measured_is_busy_idle_or_outside(own_server: Server) -> None:
    client = own_server.person("hiro", admin=True)
    own_server.person("yuki")
    hour = int(now()) // HOUR * HOUR - HOUR
    rows = [
        UsageRow(hour, "n1", "e", "g0", "A100", "hiro", False, 3600.0, 900.0),
        UsageRow(hour, "n1", "e", "g1", "A100", "yuki", True, 1800.0, 360.0),
        UsageRow(hour, "n1", "e", "g1", "A100", "unknown", True, 1800.0, 0.0),
    ]
    own_server.store.usage.write("n1", rows)
    own_server.start()

    def all_there() -> bool:
        return len(client.get("/v1/usage").json()["rows"]) == 3

    wait_for(all_there, 30, "the rows to be recorded", interval=0.5)
    hiro = row_of(client.get("/v1/usage"), "hiro")
    assert (hiro["busy_gpu_hours"], hiro["idle_gpu_hours"], hiro["busy_known_gpu_hours"]) == (0.25, 0.75, 1.0)
    yuki = row_of(client.get("/v1/usage"), "yuki")
    assert (yuki["outside_gpu_hours"], yuki["outside_busy_gpu_hours"]) == (0.5, 0.1)
    assert yuki["charged_gpu_hours"] == pytest.approx(0.5, rel=0.02)
    total = client.get("/v1/usage", params={"by": "node"}).json()["total"]
    assert (total["outside_gpu_hours"], total["busy_gpu_hours"]) == (1.0, 0.25)

    for name, group in (("hiro", "vision"), ("yuki", "vision")):
        answer = client.put(f"/v1/users/{name}", json={"group": group, "slack_id": "U012AB3CD"})
        assert (answer.json()["group"], answer.json()["slack_id"]) == (group, "U012AB3CD")
    by_group = client.get("/v1/usage", params={"by": "group"})
    assert row_of(by_group, "vision")["outside_gpu_hours"] == 0.5
    assert row_of(by_group, "vision")["busy_gpu_hours"] == 0.25
    assert row_of(by_group, "")["outside_gpu_hours"] == 0.5


def recorded(server: Server) -> list[tuple[float, float]]:
    path = server.data / "records.sqlite"
    if not path.exists():
        return []
    connection = sqlite3.connect(path)
    try:
        return connection.execute('SELECT held, busy FROM "usage" ORDER BY held').fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def test_a_server_that_is_killed_between_recording_and_forgetting_counts_each_second_once(
    own_server: Server,
) -> None:
    old = int(now()) // HOUR * HOUR - 5 * HOUR
    usage = own_server.store.usage

    def write(held: float) -> None:
        rows = [UsageRow(old, "n1", "e", f"g{n}", "A", "ann", True, held, 6.0) for n in range(500)]
        usage.write("n1", rows)

    def at(held: float) -> bool:
        return (held, 6.0) in recorded(own_server)

    for held in (61.0, 62.0, 63.0):
        write(held)
        own_server.start(wait=False)
        wait_for(lambda held=held: at(held), 20, "the commit", interval=0.001)  # type: ignore[misc]
        own_server.end(signal.SIGKILL)
    write(64.0)
    own_server.start()
    wait_for(lambda: usage.nodes() == [], 30, "the old rows to be forgotten", interval=0.2)
    assert recorded(own_server) == [(64.0, 6.0)] * 500


def test_a_run_is_not_missing_after_a_restart(own_server: Server) -> None:
    own_server.store.nodes.register(CARDS, now=now())
    own_server.flags = ("--only", "api")
    own_server.start()
    client = own_server.person("hiro")
    ran(own_server, client, CARDS, GpuHold("cards-0"), ago=3 * HOUR, seconds=HOUR)

    def charged() -> float:
        return float(row_of(client.get("/v1/usage"), "hiro").get("charged_gpu_hours") or 0.0)

    wait_for(lambda: charged() == pytest.approx(1.0, rel=0.03), 10, "the run to be charged")
    own_server.end(signal.SIGKILL)
    own_server.store.connection.client.delete("labq:jobs:ended")
    own_server.start()
    wait_for(lambda: charged() == pytest.approx(1.0, rel=0.03), 10, "the run to be charged again")


def test_a_loop_of_its_own_decides_without_records(own_server: Server, tmp_path: Path) -> None:
    own_server.flags = ("--only", "loop")
    own_server.env["LABQ_RECORDS_URL"] = f"sqlite:///{tmp_path}/nowhere/records.sqlite"
    own_server.store.nodes.register(CARDS, now=now())
    own_server.start(wait=False)
    job_id = own_server.store.jobs.submit(make_job(), indices=None, now=now()).id

    def prepared() -> bool:
        key = own_server.store.jobs.get(job_id).image_key
        return "cards" in own_server.store.images.get(key).nodes

    wait_for(prepared, 20, "a decision", hint=own_server.log.read_text)
    wait_for(lambda: "cannot be read, trying again" in own_server.log.read_text(), 20, "a warning")
    assert "Traceback" not in own_server.log.read_text()


def test_agents_and_strangers_are_told_nothing(server: Server, node_token: httpx.Client) -> None:
    assert error_of(httpx.get(f"{server.url}/v1/usage"))["code"] == "no_token"
    assert error_of(node_token.get("/v1/usage"))["code"] == "not_allowed"


def test_a_question_that_makes_no_sense_is_refused(alice: httpx.Client) -> None:
    error = error_of(alice.get("/v1/usage", params={"by": "grup"}))
    assert (error["what"], error["next"]) == (
        "by 'grup' is not known",
        "did you mean group? legal: user, group, node",
    )


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"group": "a b"}, "group 'a b' is not legal"),
        ({"group": 3}, "group '3' is not legal"),
        ({"slack_id": "@hiro"}, "slack_id '@hiro' is not legal"),
        ({"slack_id": "u012"}, "slack_id 'u012' is not legal"),
    ],
)
def test_a_group_or_slack_id_that_is_none_is_refused(
    admin: httpx.Client, alice: httpx.Client, body: dict[str, Any], what: str
) -> None:
    error = error_of(admin.put(f"/v1/users/{name_of(alice)}", json=body))
    assert error["what"] == what
    assert error["next"]


def test_what_is_not_named_of_a_person_stays(admin: httpx.Client, alice: httpx.Client) -> None:
    route = f"/v1/users/{name_of(alice)}"
    admin.put(route, json={"group": "nlp", "slack_id": "W1234567"})
    assert admin.put(route, json={"uid": 77}).json()["group"] == "nlp"
    cleared = admin.put(route, json={"group": ""}).json()
    assert (cleared["group"], cleared["slack_id"], cleared["uid"]) == ("", "W1234567", 77)


def test_a_person_of_an_older_labq_has_no_group(server: Server, admin: httpx.Client) -> None:
    old = '{"name": "older", "uid": 5, "gid": 5, "admin": false, "agent": false}'
    server.store.connection.client.hset("labq:users", "older", old)
    seen = admin.get("/v1/users/older").json()
    assert (seen["group"], seen["slack_id"], seen["uid"]) == ("", "", 5)


def test_a_job_without_gpus_is_counted_without_hours(server: Server, alice: httpx.Client) -> None:
    agent = FakeAgent(server.store, server.data)
    job_id = submit(alice)
    job = server.store.jobs.get(job_id)
    claim = Claim("lease-cpu", replace(CARDS, gpus=()), (), 0.1, 1)
    leased = moves.starting(job, claim)
    server.store.jobs.move(job, leased, now=now(), by="scheduler", claim=claim)
    server.store.jobs.move(leased, moves.running(leased, now() - 60, "s"), now=now(), by="agent cards")

    def row() -> dict[str, Any]:
        return row_of(alice.get("/v1/usage"), name_of(alice))

    assert (row()["jobs"], row()["allocated_gpu_hours"]) == (1, 0.0)
    agent.end(job_id)
    wait_for(lambda: row().get("jobs") == 1, 10, "the job to be recorded")
    assert row()["allocated_gpu_hours"] == 0.0
