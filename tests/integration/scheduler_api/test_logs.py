"""Logs and outputs over HTTP: raw, live, complete; and what remote agents send."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from integration.scheduler_api.server_process import FakeAgent, Server, error_of, submit
from support.waiting import wait_for

from labq.clock import monotonic, now
from labq.ending import EndReason
from labq.image import ImageOnNode
from labq.logfile import REMARK, STDERR, STDOUT, LogWriter

SECOND = 10**9


class Stream:
    """A stream of server-sent events."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200
        self._lines = answer.iter_lines()

    def __iter__(self) -> Iterator[tuple[str, str, Any]]:
        kind, event_id = "", ""
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "event":
                kind, event_id = value, ""
            elif name == "id":
                event_id = value
            elif name == "data":
                body = json.loads(value)
                yield kind, event_id, body


@contextmanager
def follow(client: httpx.Client, job_id: str, what: str = "logs/follow", **options: Any) -> Iterator[Stream]:
    with client.stream("GET", f"/v1/jobs/{job_id}/{what}", **options) as answer:
        yield Stream(answer)


def text_of(events: list[tuple[str, str, Any]], kind: str = "log") -> bytes:
    return b"".join(base64.b64decode(body["b64"]) for name, _, body in events if name == kind)


def test_the_raw_log_has_every_byte(alice: httpx.Client, finished: str) -> None:
    answer = alice.get(f"/v1/jobs/{finished}/logs")
    assert answer.content == b"epoch 1\nepowarn\xff\nch 2\n\rbar 10%\rbar 99%\n"
    assert answer.headers["x-labq-log"] == "run"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"tail": "1"}, b"\rbar 10%\rbar 99%\n"),
        ({"tail": "2"}, b"ch 2\n\rbar 10%\rbar 99%\n"),
        ({"tail": "0"}, b""),
        ({"stream": "stderr"}, b"warn\xff\n"),
        ({"stream": "stdout", "tail": "2"}, b"epoch 2\n\rbar 10%\rbar 99%\n"),
        ({"since": "2023-11-14T22:13:21.500Z"}, b"ch 2\n\rbar 10%\rbar 99%\n"),
        ({"since": "1h"}, b""),
        ({"timestamps": "1", "stream": "stderr"}, b"2023-11-14T22:13:21.000Z warn\xff\n"),
        ({"timestamps": "1", "tail": "1"}, b"2023-11-14T22:13:22.000Z \rbar 10%\rbar 99%\n"),
    ],
)
def test_a_part_of_the_log_is_had_by_asking(
    alice: httpx.Client, finished: str, params: dict[str, str], expected: bytes
) -> None:
    assert alice.get(f"/v1/jobs/{finished}/logs", params=params).content == expected


@pytest.mark.parametrize("query", ["tail=x", "tail=-1", "since=soon", "stream=out", "attempt=x"])
def test_a_bad_part_is_refused(alice: httpx.Client, finished: str, query: str) -> None:
    answer = alice.get(f"/v1/jobs/{finished}/logs?{query}")
    assert answer.status_code == 422
    error_of(answer)


def test_an_attempt_that_never_was_is_not_found(alice: httpx.Client, finished: str) -> None:
    assert "legal: 1 to 1" in error_of(alice.get(f"/v1/jobs/{finished}/logs?attempt=2"))["next"]


def test_a_log_of_100_megabytes_streams_in_constant_memory(
    server: Server, alice: httpx.Client, agent: FakeAgent
) -> None:
    job_id = submit(alice)
    agent.run(job_id)
    writer = agent.log(job_id)
    line = b"x" * 99_999 + b"\n"
    for _ in range(1000):
        writer.write(STDOUT, SECOND, line)
    writer.close()
    agent.end(job_id)
    before = _peak_rss(server.pid)
    with alice.stream("GET", f"/v1/jobs/{job_id}/logs") as answer:
        assert sum(len(piece) for piece in answer.iter_raw()) == 1000 * 100_000
    assert _peak_rss(server.pid) - before < 20 * 2**20


def test_a_follower_sees_a_line_within_200_ms_and_all_lines_at_the_end(
    alice: httpx.Client, agent: FakeAgent
) -> None:
    job_id = submit(alice)
    agent.run(job_id)
    writer = agent.log(job_id)
    delays, events = [], []
    begun = threading.Event()

    def write() -> None:
        begun.wait(10)
        for number in range(20):
            writer.write(STDOUT, int(now() * 1e9), json.dumps([number, monotonic()]).encode() + b"\n")
            threading.Event().wait(0.02)
        agent.end(job_id)

    thread = threading.Thread(target=write)
    thread.start()
    with follow(alice, job_id) as stream:
        for event in stream:
            begun.set()
            events.append(event)
            if event[0] == "log":
                delays.append(monotonic() - json.loads(base64.b64decode(event[2]["b64"]))[1])
    thread.join()
    assert sorted(delays)[len(delays) // 2] < 0.1
    assert max(delays) < 0.2
    assert [json.loads(line)[0] for line in text_of(events).splitlines()] == list(range(20))
    assert [body["state"] for kind, _, body in events if kind == "state"] == ["running", "succeeded"]
    assert events[-1][0] == "end"
    assert events[-1][2]["verdict"] == "It ended with 0."


def test_a_follower_of_an_ended_job_gets_all_and_the_end(alice: httpx.Client, finished: str) -> None:
    with follow(alice, finished) as stream:
        events = list(stream)
    assert text_of(events) == b"epoch 1\nepowarn\xff\nch 2\n\rbar 10%\rbar 99%\n"
    assert [body["stream"] for kind, _, body in events if kind == "log"] == ["stdout", "stderr", "stdout"]
    assert [kind for kind, _, _ in events if kind != "log"] == ["state", "end"]


def test_a_reconnected_follower_misses_nothing_and_sees_nothing_twice(
    alice: httpx.Client, finished: str
) -> None:
    with follow(alice, finished) as stream:
        first = next(event for event in stream if event[0] == "log")
    with follow(alice, finished, headers={"Last-Event-ID": first[1]}) as stream:
        rest = list(stream)
    assert text_of([first]) + text_of(rest) == b"epoch 1\nepowarn\xff\nch 2\n\rbar 10%\rbar 99%\n"
    bad = alice.get(f"/v1/jobs/{finished}/logs/follow", headers={"Last-Event-ID": "1:x"})
    assert bad.status_code == 422


def test_a_follower_may_begin_with_the_last_lines(alice: httpx.Client, finished: str) -> None:
    with follow(alice, finished, params={"tail": "1"}) as stream:
        assert text_of(list(stream)) == b"\rbar 10%\rbar 99%\n"


def test_a_follower_goes_on_with_the_next_attempt(alice: httpx.Client, agent: FakeAgent) -> None:
    job_id = submit(alice, retries=1)
    agent.run(job_id)
    events = []

    def attempts() -> None:
        for number in (1, 2):
            if number == 2:
                agent.run(job_id)
            writer = agent.log(job_id, number)
            writer.write(STDOUT, SECOND, f"attempt {number}\n".encode())
            writer.close()
            agent.end(job_id, code=2 - number)

    with follow(alice, job_id) as stream:
        for event in stream:
            events.append(event)
            if len(events) == 1:
                threading.Thread(target=attempts).start()
    assert text_of(events) == b"attempt 1\nattempt 2\n"
    states = [body["state"] for kind, _, body in events if kind == "state"]
    assert states == ["running", "queued", "starting", "running", "succeeded"]
    assert [event_id.partition(":")[0] for kind, event_id, _ in events if kind == "log"] == ["1", "2"]


def test_a_build_is_followed_while_the_job_waits_for_it(
    server: Server, alice: httpx.Client, agent: FakeAgent
) -> None:
    reference = f"base/{uuid4().hex[:8]}"
    job_id, key = submit(alice, image=reference), f"ref:{reference}"
    said = ImageOnNode("preparing", now(), run=3)
    path = server.data / "logs/images" / f"{key.replace(':', '-').replace('/', '_')}@n1-3.labqlog"
    writer = LogWriter(path)
    events = []

    def build() -> None:
        server.store.images.set(key, "n1", said)
        writer.write(REMARK, SECOND, b"step 1\n")
        threading.Event().wait(0.2)
        writer.write(STDOUT, SECOND, b"step 2\n")
        writer.close()
        server.store.images.set(key, "n1", ImageOnNode("ready", now(), "sha256:x", run=3))
        agent.run(job_id)
        agent.end(job_id)

    with follow(alice, job_id) as stream:
        for event in stream:
            events.append(event)
            if len(events) == 1:
                threading.Thread(target=build).start()
    assert text_of(events, "build") == b"step 1\nstep 2\n"
    assert events[-1][0] == "end"
    shown = alice.get(f"/v1/images/{key}").json()
    assert shown["nodes"]["n1"]["state"] == "ready"
    assert alice.get(f"/v1/images/{key}/log").content == b"step 1\nstep 2\n"
    quoted = key.replace("/", "%2F").replace(":", "%3A")
    assert alice.get(f"/v1/images/{quoted}/log").content == b"step 1\nstep 2\n"
    assert alice.get(f"/v1/images/{quoted}").json() == shown


def test_the_log_of_a_failed_build_reaches_whoever_looks_late(
    server: Server, alice: httpx.Client, agent: FakeAgent
) -> None:
    reference = f"broken/{uuid4().hex[:8]}"
    job_id, key = submit(alice, image=reference), f"ref:{reference}"
    writer = LogWriter(server.data / "logs/images" / f"ref-{reference.replace('/', '_')}@n1-1.labqlog")
    writer.write(STDERR, SECOND, b"ERROR: RUN pip install x\n")
    writer.close()
    server.store.images.set(
        key, "n1", ImageOnNode("failed", now(), reason="image_build_failed", error="x", run=1)
    )
    agent.end(job_id, code=1, reason=EndReason.IMAGE_BUILD_FAILED)
    answer = alice.get(f"/v1/jobs/{job_id}/logs")
    assert (answer.content, answer.headers["x-labq-log"]) == (b"ERROR: RUN pip install x\n", "build")
    with follow(alice, job_id) as stream:
        events = list(stream)
    assert text_of(events, "build") == b"ERROR: RUN pip install x\n"
    assert events[-1][2]["end_reason"] == "image_build_failed"


def test_an_image_that_nobody_asked_for_is_not_found(alice: httpx.Client) -> None:
    assert alice.get("/v1/images/ref:none").status_code == 404
    assert alice.get("/v1/images/ref:none/log").status_code == 404


def test_states_are_streamed_until_the_end(alice: httpx.Client, bob: httpx.Client, agent: FakeAgent) -> None:
    job_id = submit(alice)
    bodies = []

    def moves() -> None:
        agent.run(job_id)
        agent.end(job_id, code=7)

    with follow(bob, job_id, "events") as stream:
        for _, _, body in stream:
            bodies.append(body)
            if len(bodies) == 1:
                threading.Thread(target=moves).start()
    assert [body["state"] for body in bodies] == ["queued", "starting", "running", "failed"]
    assert (bodies[-1]["end_reason"], bodies[-1]["exit_code"], bodies[-1]["why"]) == (
        "exit_code",
        7,
        "It ended with 7.",
    )
    assert all(body["at"].endswith("Z") and body["why"] for body in bodies)


def test_a_remote_agent_appends_to_a_log_once_and_in_order(
    server: Server, alice: httpx.Client, agent: FakeAgent, node_token: httpx.Client, tmp_path: Path
) -> None:
    job_id = submit(alice)
    agent.run(job_id)
    writer = LogWriter(tmp_path / "x")
    writer.write(STDOUT, SECOND, b"from afar\n")
    data = (tmp_path / "x").read_bytes()
    path = f"/v1/agent/logs/{job_id}/1.labqlog"

    def send(at: int, piece: bytes) -> httpx.Response:
        return node_token.put(path, content=piece, headers={"X-Offset": str(at)})

    assert send(0, data[:10]).json() == {"size": 10}
    again = send(0, data[:10])
    assert (again.status_code, error_of(again)["details"]["size"]) == (409, 10)
    assert send(20, data[20:]).status_code == 409
    assert send(10, data[10:]).json() == {"size": len(data)}
    assert alice.get(f"/v1/jobs/{job_id}/logs").content == b"from afar\n"
    assert node_token.put(path, content=b"x").status_code == 422


@pytest.mark.parametrize(
    "path", ["../../etc/x.labqlog", "1/x.labqlog", "images/../1.labqlog", "1/1.txt", "images/a/b.labqlog"]
)
def test_an_agent_writes_nothing_but_logs(node_token: httpx.Client, path: str) -> None:
    quoted = path.replace("/", "%2F").replace("..", "%2E%2E")
    answer = node_token.put(f"/v1/agent/logs/{quoted}", content=b"x", headers={"X-Offset": "0"})
    assert answer.status_code in {404, 422}


def test_a_follower_that_goes_away_is_forgotten(
    server: Server, alice: httpx.Client, agent: FakeAgent
) -> None:
    job_id = submit(alice)
    agent.run(job_id)
    before = _descriptors(server.pid)
    for _ in range(10):
        with follow(alice, job_id) as stream:
            next(iter(stream))
    agent.end(job_id)
    wait_for(lambda: _descriptors(server.pid) <= before + 1, 5, "the streams to be closed")


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _peak_rss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024
