"""`labq keep` over HTTP: a while, but not for ever; and a notebook that names no end gets one."""

from __future__ import annotations

import re
from typing import Any

import httpx
from integration.scheduler_api.server_process import Server, error_of, submit
from support.waiting import wait_for

from labq.clock import monotonic
from labq.store import Store


def keep(client: httpx.Client, job: str, duration: str | None = None) -> httpx.Response:
    return client.post(f"/v1/jobs/{job}/keep", json={} if duration is None else {"for": duration})


def test_asking_again_and_again_gives_no_more_than_the_lab_allows_in_all(redis_url: str) -> None:
    store, began, asked = Store(redis_url), monotonic(), 0

    def refused() -> bool:
        nonlocal asked
        asked += 1
        return store.idle.keep("1", 0.3, 1.0) is not None

    wait_for(refused, 10, "the one who asks again and again to be refused")
    assert asked > 2
    assert monotonic() - began < 1.0
    wait_for(lambda: not store.idle.kept(["1"]), 10, "it to be kept no more")
    assert store.idle.keep("1", 0.3, 1.0) is not None
    # An admin may.
    assert store.idle.keep("1", 60.0) is None
    assert store.idle.kept(["1"]) == {"1"}


def test_who_asks_before_it_is_over_is_charged_once(redis_url: str) -> None:
    store = Store(redis_url)
    for _ in range(50):
        assert store.idle.keep("1", 3600.0, 4000.0) is None
    left = store.idle.keep("1", 4001.0, 4000.0)
    assert left is not None
    assert 3990 < left <= 4000


def test_an_owner_who_wants_more_reads_what_is_left_and_an_admin_gets_it(
    server: Server, alice: httpx.Client
) -> None:
    job = submit(alice)
    assert keep(alice, job, "4h").status_code == 200
    answer = keep(alice, job, "2d")
    assert (answer.status_code, error_of(answer)["code"]) == (409, "conflict")
    assert error_of(answer)["what"].startswith(
        f"job {job} cannot be kept for 2d0h: this lab keeps a job that does nothing for 1d0h in all, and "
    )
    # A moment of the four hours has passed, or not.
    assert re.match(rf"labq keep {job} --for 14(39|40)m is still possible; ", error_of(answer)["next"])
    assert "an admin may keep it longer" in error_of(answer)["next"]
    assert keep(server.person(admin=True), job, "2d").status_code == 200
    answer = keep(alice, job, "8d")
    assert (answer.status_code, error_of(answer)["next"]) == (422, "at most 7d; ask again later")


def test_who_names_no_time_gets_what_is_left_of_it(server: Server, alice: httpx.Client) -> None:
    job = submit(alice)
    store = server.store
    store.connection.client.set(f"labq:idle:kept:{job}", 23 * 3600 * 1000)
    assert keep(alice, job).status_code == 200
    left = store.connection.client.pttl(f"labq:idle:keep:{job}")
    assert 3590_000 < left <= 3600_000
    store.connection.client.set(f"labq:idle:kept:{job}", 25 * 3600 * 1000)
    answer = keep(alice, job)
    assert "nothing of that is left" in error_of(answer)["what"]
    assert error_of(answer)["next"].startswith("let it use its GPUs, or end it")


def asked(client: httpx.Client, **spec: Any) -> tuple[str | None, list[str]]:
    made = client.post("/v1/jobs", json={"spec": {"image": "busybox", **spec}}).json()
    return client.get(f"/v1/jobs/{made['id']}").json()["spec"].get("time"), made["warnings"]


def test_a_notebook_without_an_end_is_given_one_and_its_owner_is_told(alice: httpx.Client) -> None:
    assert asked(alice, interactive=True) == (
        "12h",
        ["it is interactive and names no time limit: it is ended after 12h00m (--time)"],
    )
    assert asked(alice, interactive=True, time="2d") == ("2d", [])
    assert asked(alice) == ("7d", [])  # the longest of this server
