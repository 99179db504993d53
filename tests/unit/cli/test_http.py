"""HTTP framing, addresses and server-sent events of the client, byte by byte."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labq.client import sse
from labq.client.address import Address, quote, with_query
from labq.client.answer import NotHttpError
from labq.client.connection import Connection
from labq.errors import BadInputError

Answer = Callable[[socket.socket], None]


class Scripted:
    """A server on a unix socket that answers one connection as it is told; `got` is what it received."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.address = Address(f"unix://{path}")
        self.got = b""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, args=(answer,), daemon=True)
        self._thread.start()

    def _serve(self, answer: Answer) -> None:
        wire, _ = self._listener.accept()
        with wire:
            self.got = wire.recv(1 << 16)
            answer(wire)

    def close(self) -> None:
        self._thread.join(5)
        self._listener.close()


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Callable[..., Connection]]:
    made: list[Scripted] = []
    wires: list[Connection] = []

    def make(*pieces: bytes) -> Connection:
        def answer(wire: socket.socket) -> None:
            for piece in pieces:
                wire.sendall(piece)

        made.append(Scripted(tmp_path / f"s{len(made)}", answer))
        wires.append(Connection(made[-1].address))
        return wires[-1]

    yield make
    for wire in wires:
        wire.close()
    for server in made:
        server.close()


def one_byte_at_a_time(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@pytest.mark.parametrize(
    ("raw", "body", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: 1\r\n\r\n", b"hello", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", b"hello", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", b"x", True),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end", False),
        (b"HTTP/1.0 200 OK\nContent-Length: 2\n\nok", b"ok", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("split", [False, True])
def test_bodies_are_read_however_they_are_framed(
    scripted: Callable[..., Connection], raw: bytes, body: bytes, reusable: bool, split: bool
) -> None:
    wire = scripted(*(one_byte_at_a_time(raw) if split else [raw]))
    answer = wire.request("GET", "/", {})
    assert answer.read() == body
    assert answer.read() == b""
    if raw.startswith(b"HTTP/1.1 204"):
        return
    assert wire.reusable is reusable


def test_sized_reads_cross_chunks(scripted: Callable[..., Connection]) -> None:
    wire = scripted(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"
    )
    answer = wire.request("GET", "/", {})
    assert [answer.read(3), answer.read(4), answer.read(100), answer.read(1)] == [
        b"012",
        b"3456",
        b"789",
        b"",
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
        b"HTTP/1.1 200",
        b"",
    ],
)
def test_an_answer_that_breaks_off_is_a_lost_connection(
    scripted: Callable[..., Connection], raw: bytes
) -> None:
    with pytest.raises(ConnectionError):
        scripted(raw).request("GET", "/", {}).read()


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"x" * 100_000,
    ],
)
def test_what_is_not_http_is_told(scripted: Callable[..., Connection], raw: bytes) -> None:
    with pytest.raises(NotHttpError):
        scripted(raw).request("GET", "/", {}).read()


def test_a_request_has_a_head_and_a_body(tmp_path: Path) -> None:
    server = Scripted(
        tmp_path / "s", lambda wire: wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    )
    wire = Connection(server.address)
    wire.request("POST", "/v1/jobs?x=1", {"X-A": "b"}, b"body").read()
    wire.close()
    server.close()
    assert (
        server.got
        == b"POST /v1/jobs?x=1 HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\nContent-Length: 4\r\n\r\nbody"
    )


def test_an_upload_stops_when_the_server_has_refused_it(tmp_path: Path) -> None:
    refused = b"HTTP/1.1 507 Full\r\nContent-Length: 4\r\n\r\nfull"
    server = Scripted(tmp_path / "s", lambda wire: wire.sendall(refused))
    sent = 0

    def pieces() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield bytes(1 << 20)

    wire = Connection(server.address)
    answer = wire.request("PUT", "/", {}, pieces(), 1000 << 20)
    assert (answer.status, answer.read()) == (507, b"full")
    assert sent < 100
    assert not wire.reusable
    wire.close()
    server.close()


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "prefix"),
    [
        ("http://lab:7580", "http", "lab", 7580, ""),
        ("http://lab", "http", "lab", 80, ""),
        ("https://lab.example/labq/", "https", "lab.example", 443, "/labq"),
        ("lab:81", "http", "lab", 81, ""),
        ("http://[::1]:7580/", "http", "::1", 7580, ""),
        ("https://[::1]", "https", "::1", 443, ""),
        ("unix:///run/labq.sock", "unix", "/run/labq.sock", 0, ""),
    ],
)
def test_addresses(url: str, scheme: str, host: str, port: int, prefix: str) -> None:
    found = Address(url)
    assert (found.scheme, found.host, found.port, found.prefix) == (scheme, host, port, prefix)


@pytest.mark.parametrize(
    "url",
    ["", "http://", "ftp://x", "http://a:b", "http://a:0", "http://a:70000", "http://a b", "http://u:p@h"],
)
def test_what_is_no_address_is_quoted(url: str) -> None:
    with pytest.raises(BadInputError, match="is not an address") as caught:
        Address(url)
    assert repr(url) in caught.value.what


def test_queries_are_quoted() -> None:
    assert with_query("/v1/jobs", {"tag": "a&b=c d", "name": "実", "limit": None, "n": 0}) == (
        "/v1/jobs?tag=a%26b%3Dc%20d&name=%E5%AE%9F&n=0"
    )
    assert quote("a\r\nb") == "a%0D%0Ab"


def read_events(*pieces: bytes) -> list[tuple[str, str, str]]:
    left = list(pieces)
    return [(e.event, e.data, e.id) for e in sse.events(lambda: left.pop(0) if left else b"")]


STREAM = b': keep-alive\n\nevent: log\nid: 1:20\ndata: {"a": 1}\n\ndata: x\ndata:y\n\nevent: end\r\ndata: z\r\n\r\nevent: lost\ndata: q\n'


@pytest.mark.parametrize(
    "pieces", [[STREAM], one_byte_at_a_time(STREAM), [STREAM[:40], STREAM[40:90], STREAM[90:]]]
)
def test_server_sent_events(pieces: list[bytes]) -> None:
    assert read_events(*pieces) == [
        ("log", '{"a": 1}', "1:20"),
        ("message", "x\ny", "1:20"),
        ("end", "z", "1:20"),
    ]
