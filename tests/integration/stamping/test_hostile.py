"""Bytes that no client should send: the engine never sees a create that was not stamped, and nobody else notices."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from integration.stamping.proxy import Proxy
from support.engine import BUSYBOX
from support.people import People
from support.waiting import wait_for

BODY = b'{"Image":"%s","Labels":{"labq.test":"stamping"}}' % BUSYBOX.encode()
FIELDS = b"Host: d\r\nContent-Type: application/json\r\n"


def create(line: bytes, body: bytes = BODY) -> bytes:
    return line + b"\r\n" + FIELDS + b"Content-Length: %d\r\n\r\n" % len(body) + body


def answers(proxy: Proxy, sent: bytes, *, ended: bool = True) -> bytes:
    """All that comes back on one connection; `ended` closes our half at once."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(str(proxy.path))
        line.sendall(sent)
        if ended:
            line.shutdown(socket.SHUT_WR)
        seen = b""
        while data := line.recv(65536):
            seen += data
        return seen


def unstamped(proxy: Proxy) -> int:
    """How many containers the engine has; all are by root without a login, so a stamp shows in the log."""
    return len(proxy.engine.client.api.containers(all=True, filters={"label": "labq.test=stamping"}))


@pytest.mark.parametrize(
    "line",
    [
        b"POST /containers/create HTTP/1.1", b"POST /v1.41/containers/create HTTP/1.1", b"post /containers/create HTTP/1.1",
        b"POST //containers/create HTTP/1.1", b"POST /containers%2Fcreate HTTP/1.1", b"POST /%63ontainers/create HTTP/1.1",
        b"POST http://docker/containers/create HTTP/1.1", b"POST /containers/./create HTTP/1.1",
        b"POST /x/../containers/create HTTP/1.1", b"POST /containers/create/ HTTP/1.1", b"POST /containers/create#x HTTP/1.1",
        b"POST /containers/create;x HTTP/1.1", b"POST /containers/creat%65?name=labq-stamp-hostile HTTP/1.1",
        b"POST /containers/create HTTP/1.0", b"POST *containers/create HTTP/1.1", b"POST containers/create HTTP/1.1",
        b"POST /containers\\create HTTP/1.1", b"POST /v1.41/containers%252Fcreate HTTP/1.1", b"PoST /containers/create HTTP/1.1",
        b"POST /V1.41/containers/create HTTP/1.1", b"POST ///v1.41///containers///create HTTP/1.1",
    ],
)  # fmt: skip
def test_whatever_creates_a_container_was_looked_at(proxy: Proxy, line: bytes) -> None:
    said = answers(proxy, create(line))
    made = unstamped(proxy)
    # The log has a line for each create that was looked at: with one, the labels would have been set.
    assert proxy.log.count("not stamped") >= made
    assert made == said.count(b" 201 Created")


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Length: 3\r\nContent-Length: 4", b"Content-Length: 3\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: chunked\r\n folded: 1", b"Content-Length : 3", b"A: b\nContent-Length: 0",
        b"Transfer-Encoding: chunked, identity",
    ],
)  # fmt: skip
def test_a_create_cannot_be_smuggled_in_the_body_of_another_request(proxy: Proxy, field: bytes) -> None:
    inner = create(b"POST /containers/create HTTP/1.1")
    sent = b"POST /images/create HTTP/1.1\r\nHost: d\r\n" + field + b"\r\n\r\n0\r\n\r\n" + inner
    said = answers(proxy, sent)
    assert said.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert b'{"message": "labq-docker-stamp: ' in said
    assert unstamped(proxy) == 0


def test_requests_sent_in_one_go_are_each_looked_at(proxy: Proxy) -> None:
    ping = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
    one = create(b"POST /containers/create HTTP/1.1")
    said = answers(proxy, ping + one + ping + one + ping)
    assert (said.count(b" 200 OK"), said.count(b" 201 Created")) == (3, 2)
    assert proxy.log.count("not stamped") == 2


def test_a_create_in_chunks_and_one_that_waits_for_continue_are_passed_on(proxy: Proxy) -> None:
    half = len(BODY) // 2
    chunks = b"%x;ext\r\n%s\r\n%x\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (
        half,
        BODY[:half],
        len(BODY) - half,
        BODY[half:],
    )
    head = b"POST /containers/create HTTP/1.1\r\n" + FIELDS
    assert b" 201 Created" in answers(proxy, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(str(proxy.path))
        line.sendall(head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert line.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.sendall(BODY)
        assert line.recv(4096).startswith(b"HTTP/1.1 201 Created")
    assert proxy.log.count("not stamped") == 2


@pytest.mark.parametrize("body", [b"", b"nonsense", b"null", b'{"Labels":[]}', b'{"Image":'])
def test_what_is_not_a_description_gets_the_engines_own_answer(proxy: Proxy, body: bytes) -> None:
    sent = create(b"POST /v1.41/containers/create HTTP/1.1", body)
    through = answers(proxy, sent)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(proxy.engine_path)
        line.sendall(sent)
        line.shutdown(socket.SHUT_WR)
        direct = line.recv(65536)
    assert through.split(b"\r\n\r\n")[-1] == direct.split(b"\r\n\r\n")[-1]
    assert through.split(b"\r\n")[0] == direct.split(b"\r\n")[0]


def test_garbage_and_endless_heads_are_answered_and_ended(proxy: Proxy) -> None:
    assert answers(proxy, b"\x16\x03\x01\x02\x00\x01\n\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert answers(proxy, b"GET / HTTP/1.1\r\nX: " + b"y" * 300_000, ended=False).startswith(b"HTTP/1.1 431 ")
    long = b"POST /containers/create HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"
    assert answers(proxy, long, ended=False).startswith(b"HTTP/1.1 413 ")


def test_hundreds_of_heads_that_never_end_hinder_nobody(proxy: Proxy, people: People) -> None:
    slow = []
    for _ in range(300):
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(proxy.path))
        line.sendall(b"POST /containers/create HTTP/1.1\r\nX: ")
        slow.append(line)
    try:
        container = proxy.run("true", person=people.alice)
        assert proxy.labels(container)["io.labq.owner"] == people.alice.name
    finally:
        for line in slow:
            line.close()
    # Those that gave up leave nothing behind: no descriptor, no thread.
    wait_for(lambda: len(list(Path(f"/proc/{proxy.pid}/fd").iterdir())) < 20, 10, "the connections to end")


def test_a_reader_that_does_not_read_makes_the_engine_wait_and_no_memory_grow(proxy: Proxy) -> None:
    def resident() -> int:
        status = Path(f"/proc/{proxy.pid}/status").read_text()
        return next(int(row.split()[1]) for row in status.splitlines() if row.startswith("VmRSS")) * 1024

    before = resident()
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(str(proxy.path))
        line.sendall(b"GET /images/python:3.11-slim/get HTTP/1.1\r\nHost: d\r\n\r\n")
        assert line.recv(10)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: proxy.docker("version"), range(8)))
        assert resident() - before < 3 * 1024 * 1024
