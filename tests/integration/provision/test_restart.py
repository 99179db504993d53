"""A play that restarts the server which the client follows."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from integration.scheduler_api.server_process import Server, error_of
from support.provisioning import BIN
from support.redis import RedisServer
from support.waiting import wait_for

from labq.clock import now
from labq.provision import Run, RunState
from labq.provision_request import Request


@pytest.fixture
def server(redis_server: RedisServer, tmp_path: Path) -> Iterator[Server]:
    found = Server(redis_server, tmp_path / "data", "--only", "api")
    found.start()
    found.store.connection.client.config_resetstat()
    yield found
    found.close()


def begun(server: Server) -> Run:
    """A run that is under way, of a driver that says nothing."""
    run = server.store.provision.make(Request.from_json({"playbook": "control.yml"}), "hana", now=now())
    return server.store.provision.write(run, run.moved(RunState.RUNNING, started=now(), hosts=("ctl",)))


def test_a_long_poll_that_the_end_of_the_server_cuts_short_is_answered_503(server: Server) -> None:
    admin, run = server.person(admin=True), begun(server)
    answers: list[httpx.Response] = []
    path = f"/v1/provision/{run.id}/events?wait=60"
    poll = threading.Thread(target=lambda: answers.append(admin.get(path)))
    poll.start()
    wait_for(lambda: _polls(server), 10, "the poll to be there")
    server.end()
    poll.join(10)
    (answer,) = answers
    assert (answer.status_code, error_of(answer)["code"]) == (503, "unavailable")
    assert error_of(answer)["what"] == "this server stops, perhaps to start anew"


def test_a_request_that_hangs_when_the_server_ends_is_answered_503_too(
    server: Server, redis_server: RedisServer
) -> None:
    admin, run = server.person(admin=True), begun(server)
    answers: list[httpx.Response] = []
    path = f"/v1/provision/{run.id}/events?wait=60"
    poll = threading.Thread(target=lambda: answers.append(admin.get(path)))
    poll.start()
    wait_for(lambda: _polls(server), 10, "the poll to be there")
    assert redis_server.pid is not None
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        os.kill(server.pid, signal.SIGTERM)
        poll.join(10)
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    (answer,) = answers
    assert (answer.status_code, error_of(answer)["code"]) == (503, "unavailable")


def test_who_follows_a_run_goes_on_with_the_server_that_was_started_anew(
    server: Server, tmp_path: Path
) -> None:
    admin, run = server.person(admin=True), begun(server)
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "LABQ_CONFIG": "/dev/null", "NO_COLOR": "1",
        "LABQ_SERVER": server.url, "LABQ_TOKEN": admin.headers["authorization"].removeprefix("Bearer "),
    }  # fmt: skip
    with subprocess.Popen(
        [str(BIN / "labq"), "provision", "follow", run.id], env=env, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as follower:  # fmt: skip
        try:
            wait_for(lambda: _polls(server), 10, "the follower to be there")
            server.end()
            with socket.create_server(("127.0.0.1", server.port)) as other:
                _say_bare_500(other)  # the last word of an older server, or of a proxy
            server.start()
            server.store.provision.write(run, run.moved(RunState.SUCCEEDED, ended=now()))
            out, said = follower.communicate(timeout=30)
        finally:
            follower.kill()
    assert (follower.returncode, f"run {run.id} succeeded" in out) == (0, True), said
    assert said.count("does not answer, trying again for 10 minutes") == 1


def _say_bare_500(listener: socket.socket) -> None:
    listener.settimeout(10)
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 21\r\n\r\nInternal Server Error"
        )


def _polls(server: Server) -> bool:
    """Has somebody asked for events of a run?"""
    return "cmdstat_lrange" in server.store.connection.client.info("commandstats")
