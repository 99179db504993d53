"""The process: starts without Redis, stops in time, survives, and says what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from integration.scheduler_api.server_process import FakeAgent, Server, error_of, submit
from support.redis import RedisServer
from support.waiting import wait_for

from labq.clock import monotonic, now


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_within_two_seconds_with_streams_open(own_server: Server, how: signal.Signals) -> None:
    own_server.start()
    client = own_server.person()
    job_id = submit(client)
    opened = threading.Barrier(4)
    ended: list[float] = []

    def stream() -> None:
        with httpx.stream(
            "GET", f"{own_server.url}/v1/jobs/{job_id}/logs/follow", headers=client.headers, timeout=20
        ) as answer:
            lines = answer.iter_lines()
            next(lines)
            opened.wait(10)
            assert not any(line == "event: end" for line in lines)
        ended.append(monotonic())

    threads = [threading.Thread(target=stream) for _ in range(3)]
    for thread in threads:
        thread.start()
    opened.wait(10)
    began = monotonic()
    assert own_server.end(how) == 0
    assert monotonic() - began < 2
    for thread in threads:
        thread.join(5)
    assert len(ended) == 3
    assert "Traceback" not in own_server.log.read_text()


def test_it_waits_for_redis_and_says_so(own_server: Server) -> None:
    own_server.redis.kill()
    own_server.start(wait=False)
    wait_for(lambda: "waiting for Redis" in own_server.log.read_text(), 10, "the line in the log")
    own_server.redis.start()
    wait_for(own_server.ready, 20, "the server to be ready", hint=own_server.log.read_text)


def test_it_is_not_ready_while_redis_is_away_and_comes_back_by_itself(own_server: Server) -> None:
    own_server.start()
    client = own_server.person()
    kept = submit(client)
    own_server.redis.kill()
    assert httpx.get(f"{own_server.url}/healthz").status_code == 200
    away = httpx.get(f"{own_server.url}/readyz", timeout=30)
    assert (away.status_code, away.json()["redis"]) == (503, False)
    refused = client.get("/v1/jobs", timeout=30)
    assert (refused.status_code, error_of(refused)["code"]) == (503, "unavailable")
    own_server.redis.start()
    wait_for(own_server.ready, 20, "the server to be ready again")
    assert [job["id"] for job in client.get("/v1/jobs").json()] == [kept]


def test_after_kill_minus_9_everything_is_there(own_server: Server) -> None:
    own_server.start()
    client = own_server.person()
    ids = [submit(client, name=f"k{number}") for number in range(5)]
    own_server.end(signal.SIGKILL)
    own_server.start()
    assert [job["id"] for job in client.get("/v1/jobs").json()] == ids


def test_the_deciding_loop_alone_serves_no_port_and_stops(own_server: Server) -> None:
    own_server.flags = ("--only", "loop")
    own_server.start(wait=False)
    wait_for(lambda: "deciding" in own_server.log.read_text(), 10, "the loop")
    assert not own_server.ready()
    assert own_server.end() == 0


def test_a_taken_port_is_said_with_what_to_do(
    own_server: Server, redis_server: RedisServer, tmp_path: Path
) -> None:
    own_server.start()
    second = Server(redis_server, tmp_path / "other", "--port", str(own_server.port))
    second.start(wait=False)
    try:
        assert second._process is not None
        assert second._process.wait(10) == 2
        assert "cannot listen on 127.0.0.1" in second.log.read_text()
        assert "--port" in second.log.read_text()
    finally:
        second.close()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], ["LABQ_REDIS_URL", "labq up"]),
        (["--redis-url", "http://x"], ["LABQ_REDIS_URL", "redis://"]),
        (["--redis-url", "redis://x", "--port", "a"], ["LABQ_PORT='a'"]),
        (["--redis-url", "redis://x", "--log-level", "loud"], ["'loud'", "debug"]),
        (["--redis-url", "redis://x", "--mounts", "data:ro"], ["LABQ_MOUNTS", "/data:ro"]),
        (["--redis-url", "redis://x", "--mounts", "/data:rx"], ["neither ro nor rw"]),
        (["--redis-url", "redis://x", "--keep-jobs", "soon"], ["LABQ_KEEP_JOBS"]),
        (["--redis-url", "redis://x", "--data-dir", "/proc/labq"], ["LABQ_DATA_DIR"]),
    ],
)
def test_a_bad_setting_is_named_and_nothing_is_started(
    flags: list[str], words: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "labq_scheduler", "--data-dir", str(tmp_path), *flags]
    env = {"LABQ_CONFIG": "/dev/null", "PATH": "/usr/bin"}
    if "PYTHONPATH" in os.environ:  # the code of another checkout than the one that is installed
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=20, check=False)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("DELETE", "/v1/jobs", 405),
        ("POST", "/v1/jobs", 401),
        ("GET", "/v1/jobs/1/x", 404),
    ],
)
def test_the_frameworks_own_errors_have_the_one_shape(
    server: Server, method: str, path: str, status: int
) -> None:
    answer = httpx.request(method, f"{server.url}{path}")
    assert answer.status_code == status
    assert error_of(answer)["next"]


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"spec": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_refused(alice: httpx.Client, body: bytes) -> None:
    answer = alice.post("/v1/jobs", content=body)
    assert answer.status_code == 422
    assert "not JSON" in error_of(answer)["what"]


def test_a_huge_body_is_refused(alice: httpx.Client) -> None:
    answer = alice.post("/v1/jobs", content=iter([bytes(2**20)] * 9))
    assert answer.status_code == 413


def test_a_fault_of_labq_itself_has_the_one_shape(
    server: Server, alice: httpx.Client, agent: FakeAgent
) -> None:
    job_id = submit(alice)
    server.store.connection.client.hset(f"labq:job:{job_id}", "attempts", "no json")
    answer = alice.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 500
    error = error_of(answer)
    assert error["code"] == "internal"
    assert "server's log" in error["next"]
    server.store.connection.client.hdel(f"labq:job:{job_id}", "attempts")


def test_the_description_needs_no_network(server: Server) -> None:
    page = httpx.get(f"{server.url}/docs").text
    assert "https://" not in page
    assert "/v1/jobs" in httpx.get(f"{server.url}/openapi.json").json()["paths"]


def test_nodes_and_gpus_are_shown_and_drained(
    server: Server, alice: httpx.Client, admin: httpx.Client
) -> None:
    assert [node["name"] for node in alice.get("/v1/nodes").json()] == ["n1"]
    assert len(alice.get("/v1/gpus").json()) == 8
    assert alice.get("/v1/nodes/n1").json()["cpus"] == 1000
    assert alice.get("/v1/nodes/n9").status_code == 404
    assert alice.post("/v1/nodes/n1/drain", json={"reason": "x"}).status_code == 403
    server.store.nodes.heartbeat("n1", {}, now=now())
    assert admin.post("/v1/nodes/n1/drain", json={"reason": "new driver"}).json()["reason"] == "new driver"
    found = {row["name"]: row for row in alice.get("/v1/doctor").json()}
    assert (found["node n1"]["ok"], "new driver" in found["node n1"]["what"]) == (False, True)
    assert admin.post("/v1/nodes/n1/resume").json()["reason"] == ""
    assert admin.post("/v1/nodes/n9/drain").status_code == 404


def test_the_doctor_says_what_to_do_about_each_thing_that_is_wrong(alice: httpx.Client) -> None:
    found = alice.get("/v1/doctor").json()
    assert {"redis", "redis durability", "disk", "records"} <= {row["name"] for row in found}
    assert all(set(row) == {"name", "ok", "what", "next"} and (row["ok"] or row["next"]) for row in found)
