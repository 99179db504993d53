"""The Python client against a server that loses connections, restarts, and refuses."""

import io
import shutil
import ssl
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.cli.fake import Dropped, FakeServer, Reply, as_json, error, stream
from support.need import need

from labq import Client
from labq.client import follow as following
from labq.client import session
from labq.errors import BadInputError, ImpossibleError, NoTokenError, StorageFullError, UnavailableError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a back-off."""
    for module in (session, following):
        monkeypatch.setattr(module, "sleep", lambda seconds: None)
    monkeypatch.setattr("labq.client.upload.sleep", lambda seconds: None)


@pytest.fixture
def client(server: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Client]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Client(server.url, "labq_secret") as made:
        yield made


def drops(times: int, then: Reply) -> Any:
    """A route that closes the connection so many times before it answers."""
    left = [times]

    def answer(handler: Any, *_: str) -> Reply:
        if left[0]:
            left[0] -= 1
            raise Dropped
        return then

    return answer


def test_the_token_travels_and_the_connection_is_used_again(server: FakeServer, client: Client) -> None:
    sockets = set()

    def nodes(handler: Any) -> Reply:
        sockets.add(handler.client_address)
        return as_json(200, [])

    server.add("GET", "/v1/nodes", nodes)
    for _ in range(5):
        assert client.nodes() == []
    assert len(sockets) == 1
    assert {headers["authorization"] for _, _, headers, _ in server.requests} == {"Bearer labq_secret"}
    assert "labq_secret" not in repr(client)


def test_a_lost_connection_is_tried_again_when_that_is_safe(server: FakeServer, client: Client) -> None:
    server.add("GET", "/v1/jobs/1", drops(3, as_json(200, {"id": "1"})))
    assert client.job("1") == {"id": "1"}
    server.add("POST", "/v1/jobs/1/rerun", drops(1, as_json(201, {"id": "2"})))
    with pytest.raises(UnavailableError, match="no labq server answers"):
        client.rerun("1")


def test_a_submit_sent_twice_has_one_key(server: FakeServer, client: Client) -> None:
    server.add("POST", "/v1/jobs", drops(2, as_json(201, {"id": "7", "state": "queued"})))
    assert client.submit(image="x", gpus=1, secrets={"KEY": "v"})["id"] == "7"
    keys = {headers["idempotency-key"] for method, path, headers, _ in server.requests if path == "/v1/jobs"}
    assert len(keys) == 1
    assert len(next(iter(keys))) == 32
    assert server.bodies("POST", "/v1/jobs")[0] == {
        "spec": {"image": "x", "gpus": 1, "secrets": ["KEY"]}, "secrets": {"KEY": "v"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (error(401, "no_token", "no token"), NoTokenError, "no token"),
        (error(422, "impossible", "too many", "ask less"), ImpossibleError, "ask less"),
        (error(418, "brand_new", "tea"), Exception, "tea"),
        ((502, {}, b"<html>bad gateway</html>"), UnavailableError, "502"),
        ((200, {}, b"<html>a router</html>"), UnavailableError, "200"),
    ],
)
def test_errors_come_back_as_their_own_class(
    server: FakeServer, client: Client, reply: Reply, kind: type[Exception], said: str
) -> None:
    server.add("GET", "/v1/me", lambda r: reply)
    with pytest.raises(kind, match=said):
        client.me()


def test_nobody_there_is_told_at_once() -> None:
    with Client("http://127.0.0.1:9", "t") as away, pytest.raises(UnavailableError) as caught:
        away.me()
    assert "http://127.0.0.1:9" in caught.value.what
    assert "labq up" in caught.value.next
    with Client("unix:///nowhere.sock", "t") as away, pytest.raises(UnavailableError):
        away.me()


def context(directory: Path, size: int = 3_000_000) -> str:
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (directory / "data").write_bytes(bytes(range(256)) * (size // 256))
    return str(directory)


def test_an_upload_goes_on_where_it_was_cut_off(server: FakeServer, client: Client, tmp_path: Path) -> None:
    server.cut_after = [700_000, 0, 1_200_000]
    stages: list[tuple[str, int, int]] = []
    sha = client.upload(context(tmp_path / "c"), progress=lambda *told: stages.append(told))
    assert sha in server.complete
    with tarfile.open(fileobj=io.BytesIO(bytes(server.contexts[sha]))) as archive:
        assert archive.getnames() == ["Dockerfile", "data"]
    offsets = [int(headers["x-offset"]) for method, _, headers, _ in server.requests if method == "PUT"]
    assert offsets[0] == 0
    assert offsets == sorted(offsets)
    assert len(offsets) == 4
    assert {stage for stage, _, _ in stages} == {"packing", "uploading"}
    assert stages[-1][1] == stages[-1][2]


def test_the_same_tree_is_sent_once(server: FakeServer, client: Client, tmp_path: Path) -> None:
    directory = context(tmp_path / "c")
    first = client.upload(directory)
    server.requests.clear()
    assert client.upload(directory) == first
    assert [method for method, *_ in server.requests] == ["HEAD"]


def test_a_full_disk_ends_the_upload_with_the_servers_words(
    server: FakeServer, client: Client, tmp_path: Path
) -> None:
    def full(handler: Any, sha: str) -> Reply:
        handler.close_connection = True
        return error(507, "storage_full", "the server's disk is full")

    server.add("PUT", r"/v1/contexts/(\w+)", full)
    with pytest.raises(StorageFullError, match="disk is full"):
        client.upload(context(tmp_path / "c", 30_000_000))


def test_a_server_that_takes_no_byte_is_given_up(server: FakeServer, client: Client, tmp_path: Path) -> None:
    server.cut_after = [0] * 50
    server.add("PUT", r"/v1/contexts/(\w+)", drops(50, (201, {}, b"")))
    with pytest.raises(UnavailableError):
        client.upload(context(tmp_path / "c"))


def test_a_directory_without_dockerfile_is_refused_here(client: Client, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="Dockerfile"):
        client.submit(str(tmp_path))


def test_news_go_on_after_lost_connections_without_a_byte_twice(server: FakeServer, client: Client) -> None:
    seen: list[str | None] = []
    parts: list[list[tuple[str, str, Any]]] = [
        [("state", "", {"id": "1", "state": "running"}), ("log", "1:10", b"one\n")],
        [],
        [("log", "1:20", b"two\n"), ("log", "1:30", b"three\n")],
        [("end", "", {"id": "1", "state": "succeeded"})],
    ]

    def live(handler: Any) -> None:
        seen.append(handler.headers.get("Last-Event-ID"))
        stream(handler, *parts.pop(0))

    server.add("GET", "/v1/jobs/1/logs/follow", live)
    told: list[str] = []
    client.session.on_away = told.append
    news = list(client.follow_logs("1", tail=5))
    assert b"".join(item.data for item in news) == b"one\ntwo\nthree\n"
    assert news[-1].kind == "end"
    assert seen == [None, "1:10", "1:10", "1:30"]
    assert told
    paths = [path for _, path, _, _ in server.requests]
    assert paths[0].endswith("?tail=5")
    assert "tail" not in paths[1]


def test_events_end_with_the_final_state(server: FakeServer, client: Client) -> None:
    def live(handler: Any) -> None:
        stream(handler, ("state", "", {"state": "queued"}), ("state", "", {"state": "cancelled"}))

    server.add("GET", "/v1/jobs/1/events", live)
    assert [body["state"] for body in client.events("1")] == ["queued", "cancelled"]


def test_waiting_polls_until_the_end_and_gives_up_in_time(server: FakeServer, client: Client) -> None:
    answers = [as_json(202, {"id": "1", "state": "queued"}), as_json(200, {"id": "1", "state": "failed"})]
    server.add("GET", "/v1/jobs/1/wait", lambda r: answers.pop(0))
    assert client.wait("1")["state"] == "failed"
    server.add_json("GET", "/v1/jobs/2/wait", {"id": "2", "state": "running"}, status=202)
    with pytest.raises(TimeoutError, match="still running"):
        client.wait("2", timeout=0.05)


def test_waiting_survives_a_restart_of_the_server(server: FakeServer, client: Client) -> None:
    server.add("GET", "/v1/jobs/1/wait", drops(12, as_json(200, {"id": "1", "state": "succeeded"})))
    assert client.wait("1")["state"] == "succeeded"


def test_waiting_survives_a_restart_of_redis(server: FakeServer, client: Client) -> None:
    answers = [error(503, "unavailable", "Redis does not answer")] * 3 + [
        as_json(200, {"id": "1", "state": "succeeded"})
    ]
    server.add("GET", "/v1/jobs/1/wait", lambda r: answers.pop(0))
    told: list[str] = []
    client.session.on_away = told.append
    assert client.wait("1")["state"] == "succeeded"
    assert len(told) == 1


def test_all_pages_are_read_in_order(server: FakeServer, client: Client) -> None:
    def page(handler: Any) -> Reply:
        if "cursor=3" in handler.path:
            return as_json(200, [{"id": "1"}, {"id": "2"}], **{"X-Total-Count": "4"})
        return as_json(200, [{"id": "3"}, {"id": "4"}], **{"X-Total-Count": "4", "X-Next-Cursor": "3"})

    server.add("GET", "/v1/jobs", page)
    assert [job["id"] for job in client.jobs(limit=0)] == ["1", "2", "3", "4"]
    some = client.jobs(owner="*", state="queued,running", tag="a b")
    assert (len(some), some.total) == (2, 4)
    assert server.requests[-1][1] == "/v1/jobs?owner=*&state=queued,running&tag=a%20b"


def test_a_slow_body_does_not_stall_the_reader(server: FakeServer, client: Client) -> None:
    release = threading.Event()

    def slow(handler: Any, *_: str) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"5\r\nfirst\r\n")
        handler.wfile.flush()
        release.wait(10)
        handler.wfile.write(b"6\r\nsecond\r\n0\r\n\r\n")

    server.add("GET", "/v1/jobs/1/logs", slow)
    pieces = client.logs("1")
    assert next(pieces) == b"first"
    release.set()
    assert list(pieces) == [b"second"]


def test_tls_with_a_certificate_that_is_trusted_and_with_one_that_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    need(shutil.which("openssl"), "openssl")
    names = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert"), "-subj", "/CN=lab"]
    kind = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", "req", *kind, *names], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    server = FakeServer(tls)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Client(server.url, "t") as client, pytest.raises(UnavailableError, match="certificate"):
        client.me()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
    sockets = set()

    def nodes(handler: Any) -> Reply:
        sockets.add(handler.client_address)
        return as_json(200, [])

    server.add("GET", "/v1/nodes", nodes)
    with Client(server.url, "t") as client:
        assert client.upload(context(tmp_path / "c")) in server.complete
        for _ in range(3):
            client.nodes()
    assert len(sockets) == 1
    server.close()
