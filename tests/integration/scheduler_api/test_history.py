"""What is over, over HTTP: as a replay needs it, and with pseudonyms for who is no admin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from builders import make_node
from integration.scheduler_api.server_process import Server, error_of, name_of, ran
from support.waiting import wait_for

from labq.clock import now
from labq.job import GpuHold

GB = 2**30
CARDS = make_node("past-cards", gpus=4, gpu_memory=24 * GB, cpus=64.0)


def jobs(client: httpx.Client, **query: str) -> dict[str, dict[str, Any]]:
    answer = client.get("/v1/history", params=query)
    assert answer.status_code == 200, answer.text
    return {row["id"]: row for row in answer.json()["jobs"]}


def test_what_ran_and_is_over_is_told_and_others_names_are_not(
    server: Server, alice: httpx.Client, bob: httpx.Client
) -> None:
    server.store.nodes.register(CARDS, now=now())
    try:
        mine = ran(server, alice, CARDS, GpuHold(f"{CARDS.name}-0"), ago=100.0, seconds=60.0)
        other = ran(server, bob, CARDS, GpuHold(f"{CARDS.name}-1", 6 * GB), ago=100.0, seconds=30.0)
        running = ran(server, bob, CARDS, GpuHold(f"{CARDS.name}-2"), ago=50.0)
        waiting = alice.post("/v1/jobs", json={"spec": {"image": "x"}}).json()["id"]
        alice.post(f"/v1/jobs/{waiting}/cancel", json={})
        wait_for(lambda: {mine, other} <= set(jobs(alice)), 10, "both runs to be recorded")
        found = jobs(alice)
        assert not {running, waiting} & set(found)
        assert found[mine]["user"] == name_of(alice)
        assert found[mine]["seconds"] == pytest.approx(60.0, abs=0.01)
        assert (found[other]["gpus"], found[mine]["gpus"]) == ("share:6GB", "1")
        assert found[other]["user"].startswith("person-")
        assert found[other]["name"].startswith("name-")
        assert (found[mine]["time"], found[mine]["priority"], found[mine]["nodes"]) == (
            7 * 86400.0,
            "normal",
            [],
        )
        for_admins = jobs(server.person(admin=True))
        assert for_admins[other]["user"] == name_of(bob)
        assert set(for_admins[other]) == set(found[mine])
        answer = alice.get("/v1/history").json()
        assert (answer["cut"], answer["pseudonyms"], answer["rules"]) == (False, True, "")
        assert [row["submitted_at"] for row in answer["jobs"]] == sorted(
            row["submitted_at"] for row in answer["jobs"]
        )
    finally:
        server.store.nodes.remove(CARDS.name, now=now())


def test_the_command_line_replays_it_on_the_lab_s_machines(server: Server, alice: httpx.Client) -> None:
    server.store.nodes.register(CARDS, now=now())
    try:
        mine = ran(server, alice, CARDS, GpuHold(f"{CARDS.name}-0"), ago=100.0, seconds=60.0)
        wait_for(lambda: mine in jobs(alice), 10, "the run to be recorded")
        token = alice.headers["Authorization"].removeprefix("Bearer ")
        env = {**os.environ, "LABQ_SERVER": server.url, "LABQ_TOKEN": token, "LABQ_CONFIG": "/dev/null"}
        argv = [
            str(Path(sys.executable).parent / "labq"),
            "simulate",
            "--history",
            "--add",
            "2x1:4090:24GB",
            "--json",
        ]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        body = json.loads(done.stdout)
        assert [row["policy"] for row in body["rows"]] == ["own", "own +2x1:4090:24GB"]
        assert body["rows"][1]["gpus"] == body["rows"][0]["gpus"] + 2
        assert body["jobs"] >= 1
    finally:
        server.store.nodes.remove(CARDS.name, now=now())


def test_only_what_was_submitted_since_then(server: Server, alice: httpx.Client) -> None:
    server.store.nodes.register(CARDS, now=now())
    try:
        mine = ran(server, alice, CARDS, GpuHold(f"{CARDS.name}-0"), ago=100.0, seconds=60.0)
        wait_for(lambda: mine in jobs(alice), 10, "the run to be recorded")
        wait_for(lambda: mine not in jobs(alice, since="1s"), 5, "a second to pass")
        assert mine in jobs(alice, since="1h")
    finally:
        server.store.nodes.remove(CARDS.name, now=now())


@pytest.mark.parametrize(
    ("query", "what", "then"),
    [
        ({"sinze": "1d"}, "unknown parameter 'sinze'", "did you mean since?"),
        ({"since": "soon"}, "since 'soon' is neither", "2h, 3d"),
        ({"since": "2190-01-01T00:00:00Z"}, "is not in the past", "90d"),
    ],
)
def test_a_bad_question_is_refused(alice: httpx.Client, query: dict[str, str], what: str, then: str) -> None:
    answer = alice.get("/v1/history", params=query)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (422, "bad_input")
    assert what in error["what"]
    assert then in error["next"]


def test_it_is_for_people_of_the_lab(server: Server) -> None:
    assert httpx.get(f"{server.url}/v1/history").status_code == 401
