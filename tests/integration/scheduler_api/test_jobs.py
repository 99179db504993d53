"""Submit, check, list, show, cancel, note, rerun over HTTP."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from integration.scheduler_api.server_process import FakeAgent, Server, error_of, name_of, submit
from support.waiting import wait_for

from labq import moves
from labq.clock import now
from labq.ending import EndFacts, EndReason, StopRequest, judge
from labq.ids import default_seed
from labq.states import JobState
from labq.store import StaleError


def test_a_submitted_job_is_shown_and_listed_at_once(alice: httpx.Client) -> None:
    answer = alice.post("/v1/jobs", json={"spec": {"image": "busybox", "name": "学習-1", "tags": ["a"]}})
    assert answer.status_code == 201
    made = answer.json()
    assert made == {
        "id": made["id"], "state": "queued", "name": "学習-1", "owner": name_of(alice), "warnings": [],
    }  # fmt: skip
    assert [job["id"] for job in alice.get("/v1/jobs").json()] == [made["id"]]
    shown = alice.get(f"/v1/jobs/{made['id']}").json()
    assert (shown["name"], shown["tags"], shown["attempts"]) == ("学習-1", ["a"], [])


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "no spec"),
        ([], "not a JSON object"),
        ({"spec": []}, "is an object"),
        ({"spec": {}}, "neither an image nor a build context"),
        ({"spec": {"image": "busybox", "gpu": 1}}, "unknown key 'gpu'"),
        ({"spec": {"image": "BAD IMAGE"}}, "not an image reference"),
        ({"spec": {"image": "busybox", "gpus": "-1"}}, "GPU request '-1'"),
        ({"spec": {"image": "busybox", "time": "8d"}}, "longer than this lab allows"),
        ({"spec": {"image": "busybox", "mounts": ["/etc:/etc2"]}}, "mount '/etc' is not allowed"),
        ({"spec": {"image": "busybox", "mounts": ["/data/x:/d:rw"]}}, "may only be read"),
        ({"spec": {"image": "busybox", "mounts": ["/database:/d"]}}, "not allowed"),
        ({"spec": {"image": "busybox", "secrets": ["KEY"]}}, "secret 'KEY' has no value"),
        ({"spec": {"image": "busybox"}, "secrets": {"KEY": "v"}}, "does not name"),
        ({"spec": {"image": "busybox"}, "array": "9-0"}, "is empty"),
        ({"spec": {"image": "busybox"}, "array": "0-20000"}, "too many"),
        ({"spec": {"image": "busybox", "after": ["999999"]}}, "does not exist"),
        ({"spec": {"context": "f" * 64}}, "does not have the build context"),
        ({"spek": {"image": "busybox"}}, "unknown key 'spek'"),
    ],
)
def test_a_bad_request_is_quoted_and_makes_nothing(alice: httpx.Client, body: object, word: str) -> None:
    answer = alice.post("/v1/jobs", json=body)
    assert answer.status_code in {404, 422}
    error = error_of(answer)
    assert word in error["what"]
    assert error["next"]
    assert alice.get("/v1/jobs").json() == []


def test_the_nearest_legal_key_is_named(alice: httpx.Client) -> None:
    answer = alice.post("/v1/jobs", json={"spec": {"image": "busybox", "comand": ["x"]}})
    assert "did you mean 'command'?" in error_of(answer)["next"]


def test_the_value_of_a_secret_is_never_repeated(alice: httpx.Client, server: Server) -> None:
    body = {"spec": {"image": "busybox", "secrets": ["KEY"]}, "secrets": {"KEY": 5, "OTHER": "hunter2"}}
    answer = alice.post("/v1/jobs", json=body)
    assert answer.status_code == 422
    assert "hunter2" not in answer.text
    good = alice.post(
        "/v1/jobs", json={"spec": {"image": "busybox", "secrets": ["KEY"]}, "secrets": {"KEY": "hunter3"}}
    )
    assert server.store.jobs.secrets(good.json()["id"]) == {"KEY": "hunter3"}
    assert "hunter3" not in alice.get(f"/v1/jobs/{good.json()['id']}").text
    assert "hunter" not in server.log.read_text()


def test_an_impossible_job_is_refused_with_the_nearest_fit(alice: httpx.Client) -> None:
    answer = alice.post("/v1/jobs", json={"spec": {"image": "busybox", "gpus": "64"}})
    assert answer.status_code == 422
    error = error_of(answer)
    assert error["code"] == "impossible"
    assert "n1 with 8" in error["what"]


def test_check_says_where_it_would_run_and_makes_nothing(alice: httpx.Client) -> None:
    said = alice.post("/v1/jobs:check", json={"spec": {"image": "busybox", "gpus": "2"}}).json()
    assert (said["why"], said["fits"], said["warnings"]) == (None, ["n1"], [])
    assert said["waits"].startswith("its image is ")
    assert said["estimate"]["node"] == "n1"
    assert said["estimate"]["likely"] > "2026"
    secret = {"image": "busybox", "secrets": ["TOKEN"]}
    assert alice.post("/v1/jobs:check", json={"spec": secret}).json()["fits"] == ["n1"]
    assert alice.post("/v1/jobs", json={"spec": secret}).status_code == 422
    bare = alice.post("/v1/jobs:check?estimate=no", json={"spec": {"image": "busybox", "gpus": "2"}}).json()
    assert bare == {name: said[name] for name in ("why", "fits", "warnings")}
    bad = alice.post("/v1/jobs:check?estimate=maybe", json={"spec": {"image": "busybox"}})
    assert (bad.status_code, "yes or no" in bad.text) == (422, True)
    no = alice.post("/v1/jobs:check", json={"spec": {"image": "busybox", "gpus": "h100:1"}}).json()
    assert no["fits"] == []
    assert "h100" in no["why"]
    assert alice.get("/v1/jobs").json() == []


def test_the_sites_longest_time_is_the_default(alice: httpx.Client) -> None:
    assert alice.get(f"/v1/jobs/{submit(alice)}").json()["spec"]["time"] == "7d"
    assert alice.get(f"/v1/jobs/{submit(alice, time='1h')}").json()["spec"]["time"] == "1h"


def test_eight_retries_at_once_with_one_key_make_one_job(alice: httpx.Client, server: Server) -> None:
    headers = {"Idempotency-Key": uuid4().hex, **{"Authorization": alice.headers["authorization"]}}

    def send(_: int) -> httpx.Response:
        return httpx.post(f"{server.url}/v1/jobs", json={"spec": {"image": "busybox"}}, headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(alice.get("/v1/jobs").json()) == 1


def test_one_key_of_two_people_makes_two_jobs(alice: httpx.Client, bob: httpx.Client) -> None:
    headers = {"Idempotency-Key": "same"}
    made = [
        who.post("/v1/jobs", json={"spec": {"image": "busybox"}}, headers=headers).json()
        for who in (alice, bob)
    ]
    assert made[0]["id"] != made[1]["id"]


def test_an_array_is_one_request_with_a_task_for_each_index(alice: httpx.Client) -> None:
    made = alice.post("/v1/jobs", json={"spec": {"image": "busybox"}, "array": "0-4,9"}).json()
    assert [job["id"] for job in made["jobs"]] == [f"{made['id']}.{index}" for index in (0, 1, 2, 3, 4, 9)]
    shown = alice.get(f"/v1/jobs/{made['id']}").json()
    assert (shown["array"], shown["counts"], len(shown["jobs"])) == (True, {"queued": 6}, 6)
    assert [job["index"] for job in alice.get("/v1/jobs", params={"array": made["id"]}).json()] == [
        0,
        1,
        2,
        3,
        4,
        9,
    ]
    one = alice.get(f"/v1/jobs/{made['id']}/logs")
    assert one.status_code == 404
    assert "array of 6 jobs" in error_of(one)["what"]


def test_why_of_an_array_is_of_the_first_task_that_waits_or_runs(
    alice: httpx.Client, agent: FakeAgent
) -> None:
    made = alice.post("/v1/jobs", json={"spec": {"image": "busybox"}, "array": "0-2"}).json()["id"]

    def why() -> dict[str, Any]:
        said: dict[str, Any] = alice.get(f"/v1/jobs/{made}/why").json()
        return said

    agent.run(f"{made}.0")
    assert (why()["id"], why()["state"]) == (f"{made}.1", "queued")
    agent.run(f"{made}.1")
    agent.end(f"{made}.0")
    agent.run(f"{made}.2")
    assert (why()["id"], why()["state"]) == (f"{made}.1", "running")
    agent.end(f"{made}.1")
    agent.end(f"{made}.2")
    assert (why()["id"], why()["state"]) == (f"{made}.2", "succeeded")


def test_an_array_is_cancelled_whole(alice: httpx.Client, agent: FakeAgent) -> None:
    made = alice.post("/v1/jobs", json={"spec": {"image": "busybox"}, "array": "0-3"}).json()["id"]
    agent.run(f"{made}.0")
    agent.run(f"{made}.1")
    agent.end(f"{made}.1")
    assert alice.post(f"/v1/jobs/{made}/cancel").json() == {
        "cancelled": [f"{made}.2", f"{made}.3"], "stopping": [f"{made}.0"], "already": [f"{made}.1"],
    }  # fmt: skip
    assert alice.get(f"/v1/jobs/{made}").json()["counts"] == {"stopping": 1, "succeeded": 1, "cancelled": 2}


def test_over_the_limit_of_queued_jobs_nothing_is_made(alice: httpx.Client) -> None:
    answer = alice.post("/v1/jobs", json={"spec": {"image": "busybox"}, "array": "0-3000"})
    assert answer.status_code == 413
    assert "limit of 3000" in error_of(answer)["what"]
    assert alice.get("/v1/jobs").json() == []


def test_a_running_job_is_asked_to_stop_with_the_grace_of_the_request(
    alice: httpx.Client, agent: FakeAgent, server: Server
) -> None:
    job_id = submit(alice)
    agent.run(job_id)
    assert alice.post(f"/v1/jobs/{job_id}/cancel", json={"grace": "5s"}).json()["stopping"] == [job_id]
    job = server.store.jobs.get(job_id)
    assert job.stop is not None
    assert (str(job.state), str(job.stop.reason), job.stop.by) == (
        "stopping",
        "cancelled_by_user",
        name_of(alice),
    )
    assert (job.grace, job.spec.grace) == (5.0, 30.0)
    assert alice.post(f"/v1/jobs/{job_id}/cancel").json()["already"] == [job_id]
    queue = server.store.connection.client.lrange("rq:queue:node-n1", 0, -1)
    assert queue, "the node was told through RQ"
    assert alice.post(f"/v1/jobs/{job_id}/cancel", json={"grace": "2h"}).status_code == 422


def test_a_job_that_is_being_stopped_for_another_does_not_come_back_when_its_owner_cancels_it(
    alice: httpx.Client, agent: FakeAgent
) -> None:
    job_id = submit(alice, preemptible=True)
    running = agent.run(job_id)
    preempted = StopRequest(EndReason.PREEMPTED, "labq", now(), for_job="7")
    stopping = moves.stopping(running, preempted)
    agent.store.jobs.move(running, stopping, now=now(), by="scheduler")
    assert alice.post(f"/v1/jobs/{job_id}/cancel").json()["stopping"] == [job_id]
    seen = agent.store.jobs.get(job_id)
    assert seen.stop == replace(preempted, reason=EndReason.CANCELLED_BY_USER, by=seen.owner)
    # An agent that judges by what it read before the cancel is refused, and looks again.
    early = moves.ended(stopping, judge(EndFacts(143, sent_sigterm=True), stopping.stop), 143, now())
    assert early.state is JobState.QUEUED
    with pytest.raises(StaleError):
        agent.store.jobs.move(stopping, early, now=now(), by="agent n1")
    over = moves.ended(seen, judge(EndFacts(143, sent_sigterm=True), seen.stop), 143, now())
    agent.store.jobs.move(seen, over, now=now(), by="agent n1")
    shown = alice.get(f"/v1/jobs/{job_id}").json()
    assert (shown["state"], shown["end_reason"]) == ("cancelled", "cancelled_by_user")
    assert alice.post(f"/v1/jobs/{job_id}/cancel").json()["already"] == [job_id]


def test_pages_lead_from_the_newest_to_the_oldest_without_a_gap(alice: httpx.Client) -> None:
    ids = [submit(alice, name=f"p{number}") for number in range(7)]
    pages, cursor = [], ""
    while True:
        answer = alice.get("/v1/jobs", params={"limit": 3, "cursor": cursor})
        assert answer.headers["x-total-count"] == "7"
        pages.append([job["id"] for job in answer.json()])
        cursor = answer.headers.get("x-next-cursor", "")
        if not cursor:
            break
    assert pages == [ids[4:], ids[1:4], ids[:1]]


def test_lists_are_filtered(alice: httpx.Client, bob: httpx.Client, agent: FakeAgent) -> None:
    first, second = submit(alice, name="one", tags=["x", "y"]), submit(alice, name="two")
    third = submit(bob, tags=["x"])
    agent.run(second)
    agent.end(second, code=3)

    def ids(**params: str) -> list[str]:
        return [job["id"] for job in alice.get("/v1/jobs", params=params).json()]

    assert ids() == [first, second]
    assert ids(state="active") == [first]
    assert ids(state="failed,cancelled") == [second]
    assert ids(state="ended", since="1h") == [second]
    assert ids(tag="x") == [first]
    assert ids(name="two") == [second]
    assert ids(owner=name_of(bob)) == [third]
    assert {first, second, third} <= set(ids(owner="*"))
    assert ids(since="2099-01-01T00:00:00Z", state="ended") == []


@pytest.mark.parametrize(
    ("query", "word"),
    [("stat=x", "did you mean state"), ("state=runing", "did you mean running"), ("limit=0", "1 to 10000"),
     ("limit=99999", "1 to 10000"), ("cursor=x", "ids look like"), ("since=yesterday", "2h"), ("array=y", "ids look")],
)  # fmt: skip
def test_a_bad_question_is_answered_with_what_is_legal(alice: httpx.Client, query: str, word: str) -> None:
    answer = alice.get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    assert word in error_of(answer)["next"]


def test_why_is_one_sentence_in_every_state(alice: httpx.Client, agent: FakeAgent) -> None:
    job_id = submit(alice)
    said = [alice.get(f"/v1/jobs/{job_id}/why").json()]
    agent.run(job_id)
    said.append(alice.get(f"/v1/jobs/{job_id}/why").json())
    agent.end(job_id, code=1)
    said.append(alice.get(f"/v1/jobs/{job_id}/why").json())
    assert [row["state"] for row in said] == ["queued", "running", "failed"]
    assert [row["why"] for row in said][1:] == ["it runs on n1", "It ended with 1."]
    assert said[0]["why"]


def test_a_job_that_waits_has_an_estimated_start_alone_and_in_a_list(alice: httpx.Client) -> None:
    job_id = submit(alice)

    def of_one_forecast() -> bool:
        """A busy server says for a moment that it is being worked out; between two questions another may be made."""
        said = alice.get(f"/v1/jobs/{job_id}/why").json()
        (row,) = [job for job in alice.get("/v1/jobs").json() if job["id"] == job_id]
        estimate = said["estimate"]
        if estimate is None or row["estimated_start"] != estimate["likely"]:
            return False
        assert estimate["early"] <= estimate["likely"] <= estimate["late"]
        assert said["starts_by"] is None  # the lab has no bound
        return True

    wait_for(of_one_forecast, 20, "the list and the question to say the same")


def test_a_note_is_written_in_any_state(alice: httpx.Client, agent: FakeAgent) -> None:
    job_id = submit(alice, note="first")
    assert (
        alice.put(f"/v1/jobs/{job_id}/note", json={"note": "ベースライン"}).json()["note"] == "ベースライン"
    )
    agent.run(job_id)
    agent.end(job_id)
    assert alice.put(f"/v1/jobs/{job_id}/note", json={"note": ""}).json()["note"] == ""
    assert alice.get("/v1/jobs").json()[0]["note"] == ""
    assert alice.put(f"/v1/jobs/{job_id}/note", json={"note": "x" * 4001}).status_code == 422
    assert alice.put(f"/v1/jobs/{job_id}/note", json={}).status_code == 422


def test_a_rerun_has_the_same_spec_and_seed(alice: httpx.Client) -> None:
    old = submit(
        alice, command=["train"], env={"A": "1"}, name="r", gpus="2", not_before="2030-01-01T00:00:00Z"
    )
    answer = alice.post(f"/v1/jobs/{old}/rerun", json={"changes": {"gpus": "1", "env": None}})
    assert answer.status_code == 201
    made = answer.json()
    assert made["warnings"] == ["it may start at once"]
    spec = alice.get(f"/v1/jobs/{made['id']}").json()["spec"]
    assert spec["seed"] == default_seed(old)
    assert (spec["command"], spec["gpus"], "env" in spec) == (["train"], "1", False)
    again = alice.post(f"/v1/jobs/{made['id']}/rerun").json()["id"]
    assert alice.get(f"/v1/jobs/{again}").json()["spec"]["seed"] == default_seed(old)
    assert alice.post(f"/v1/jobs/{old}/rerun", json={"changes": {"gpuz": "1"}}).status_code == 422


def test_a_rerun_asks_for_its_secrets_again(alice: httpx.Client) -> None:
    body = {"spec": {"image": "busybox", "secrets": ["KEY"]}, "secrets": {"KEY": "v"}}
    old = alice.post("/v1/jobs", json=body).json()["id"]
    refused = alice.post(f"/v1/jobs/{old}/rerun")
    assert refused.status_code == 422
    assert "KEY" in error_of(refused)["what"]
    assert alice.post(f"/v1/jobs/{old}/rerun", json={"secrets": {"KEY": "w"}}).status_code == 201


def test_waiting_ends_when_the_job_does(alice: httpx.Client, agent: FakeAgent) -> None:
    job_id = submit(alice)
    agent.run(job_id)
    assert alice.get(f"/v1/jobs/{job_id}/wait", params={"timeout": "0.05"}).status_code == 202
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(alice.get, f"/v1/jobs/{job_id}/wait", params={"timeout": "10"})
        began = now()
        agent.end(job_id)
        answer = waiting.result()
    assert now() - began < 2
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert alice.get(f"/v1/jobs/{job_id}/wait", params={"timeout": "61"}).status_code == 422


@pytest.mark.parametrize("job_id", ["999999", "999999.1"])
def test_an_unknown_job_is_not_found_anywhere(alice: httpx.Client, job_id: str) -> None:
    for path in ("", "/why", "/events", "/wait", "/logs", "/logs/follow", "/outputs"):
        answer = alice.get(f"/v1/jobs/{job_id}{path}")
        assert answer.status_code == 404, path
        assert job_id in error_of(answer)["what"]
    for path in ("/cancel", "/rerun"):
        assert alice.post(f"/v1/jobs/{job_id}{path}").status_code == 404


@pytest.mark.parametrize("job_id", ["abc", "1..2", "-1", "1.2.3"])
def test_what_is_no_id_is_said_to_be_none(alice: httpx.Client, job_id: str) -> None:
    answer = alice.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 422
    assert "is not a job id" in error_of(answer)["what"]
