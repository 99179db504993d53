"""Who may do what: the token says who asks, and nothing else does."""

from __future__ import annotations

import httpx
import pytest
from integration.scheduler_api.server_process import Server, error_of, name_of, submit

from labq.cli.render.moments import epoch
from labq.clock import now


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Basic YWxpY2U6eA==", "Bearer labq_nobody", "Bearer \x80"]
)
def test_a_request_without_a_known_token_is_refused(server: Server, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = httpx.get(f"{server.url}/v1/jobs", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert error_of(answer)["code"] == "no_token"


def test_health_needs_no_token(server: Server) -> None:
    assert httpx.get(f"{server.url}/healthz").json()["ok"] is True
    ready = httpx.get(f"{server.url}/readyz").json()
    assert abs((epoch(ready.pop("now")) or 0) - now()) < 2
    assert ready == {
        "ok": True,
        "redis": True,
        "board": True,
        "data_dir": True,
        "leader": "nobody decides",
    }


def test_me_says_whose_token_it_is(alice: httpx.Client) -> None:
    assert alice.get("/v1/me").json() == {
        "name": name_of(alice), "uid": 1234, "gid": 1234, "admin": False, "agent": False,
        "group": "", "slack_id": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    "forged", [{"owner": "root"}, {"uid": 0}, {"spec": {"image": "busybox", "owner": "root"}}]
)
def test_a_forged_owner_is_refused(alice: httpx.Client, forged: dict[str, object]) -> None:
    answer = alice.post("/v1/jobs", json={"spec": {"image": "busybox"}, **forged})
    assert answer.status_code == 422
    assert "unknown key" in error_of(answer)["what"]


def test_the_owner_is_the_tokens_person_with_their_unix_ids(alice: httpx.Client, server: Server) -> None:
    job = server.store.jobs.get(submit(alice))
    assert (job.owner, job.uid, job.gid) == (name_of(alice), 1234, 1234)


def test_another_reads_a_job_but_not_its_values(alice: httpx.Client, bob: httpx.Client) -> None:
    job_id = submit(alice, env={"WANDB_KEY": "s3cret"}, command=["train"])
    seen = bob.get(f"/v1/jobs/{job_id}").json()
    assert seen["spec"]["env"] == {"WANDB_KEY": "…"}
    assert seen["spec"]["command"] == ["train"]
    assert "s3cret" not in bob.get(f"/v1/jobs/{job_id}").text
    assert alice.get(f"/v1/jobs/{job_id}").json()["spec"]["env"] == {"WANDB_KEY": "s3cret"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "cancel", {}),
        ("PUT", "note", {"note": "mine"}),
        ("POST", "rerun", {}),
        ("GET", "logs", None),
        ("GET", "logs/follow", None),
        ("GET", "outputs", None),
    ],
)
def test_anothers_job_cannot_be_changed_nor_its_output_read(
    alice: httpx.Client, bob: httpx.Client, method: str, path: str, body: object
) -> None:
    job_id = submit(alice)
    answer = bob.request(method, f"/v1/jobs/{job_id}/{path}", json=body)
    assert answer.status_code == 403
    assert name_of(alice) in error_of(answer)["what"]
    assert alice.get(f"/v1/jobs/{job_id}").json()["state"] == "queued"


def test_an_admin_cancels_anothers_job_and_the_verdict_says_so(
    alice: httpx.Client, admin: httpx.Client
) -> None:
    job_id = submit(alice)
    assert admin.post(f"/v1/jobs/{job_id}/cancel").json()["cancelled"] == [job_id]
    seen = alice.get(f"/v1/jobs/{job_id}").json()
    assert seen["end_reason"] == "cancelled_by_admin"
    assert seen["verdict"] == f"Cancelled by {name_of(admin)} before it started."


def test_an_agents_token_submits_nothing_and_a_persons_sends_no_logs(
    node_token: httpx.Client, alice: httpx.Client
) -> None:
    assert node_token.post("/v1/jobs", json={"spec": {"image": "busybox"}}).status_code == 403
    assert node_token.get("/v1/jobs").status_code == 403
    assert alice.put("/v1/agent/logs/1/1.labqlog", headers={"X-Offset": "0"}, content=b"x").status_code == 403
    assert alice.get(f"/v1/contexts/{'a' * 64}").status_code == 403
    assert node_token.get(f"/v1/contexts/{'a' * 64}").status_code == 404


def test_users_are_for_admins(alice: httpx.Client, admin: httpx.Client) -> None:
    assert alice.get("/v1/users").status_code == 403
    assert alice.put("/v1/users/eve", json={"uid": 0, "gid": 0, "admin": True}).status_code == 403
    assert name_of(alice) in {row["name"] for row in admin.get("/v1/users").json()}


def test_an_admin_makes_a_person_whose_token_works_until_they_are_removed(
    server: Server, admin: httpx.Client
) -> None:
    assert admin.put("/v1/users/maria.k", json={"uid": 1005, "gid": 1005}).json()["uid"] == 1005
    token = admin.post("/v1/users/maria.k/tokens").json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{server.url}/v1/me", headers=headers).json()["name"] == "maria.k"
    assert admin.put("/v1/users/maria.k", json={"admin": True}).json() == {
        "name": "maria.k", "uid": 1005, "gid": 1005, "admin": True, "agent": False,
        "group": "", "slack_id": "",
    }  # fmt: skip
    assert admin.delete("/v1/users/maria.k").status_code == 200
    assert httpx.get(f"{server.url}/v1/me", headers=headers).status_code == 401
    assert admin.get("/v1/users/maria.k").status_code == 404


@pytest.mark.parametrize(
    ("name", "body"),
    [("eve", {}), ("eve", {"uid": -1, "gid": 1}), ("eve", {"uid": 1, "gid": 2**40}), ("../x", {"uid": 1, "gid": 1}),
     ("e v", {"uid": 1, "gid": 1}), ("eve", {"uid": 1, "gid": 1, "admin": "yes"}), ("eve", {"uid": 1, "gid": 1, "root": 1})],
)  # fmt: skip
def test_nonsense_people_are_refused(admin: httpx.Client, name: str, body: dict[str, object]) -> None:
    answer = admin.put(f"/v1/users/{name}", json=body)
    assert answer.status_code in {404, 422}
    error_of(answer)


def test_an_admin_cannot_remove_themselves(admin: httpx.Client) -> None:
    assert admin.delete(f"/v1/users/{name_of(admin)}").status_code == 409
