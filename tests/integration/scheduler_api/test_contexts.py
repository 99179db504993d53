"""Build contexts: uploaded once, resumed, checked, and nothing half-kept."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from integration.scheduler_api.server_process import Server, error_of, make_tar
from support.need import need
from support.redis import RedisServer
from support.waiting import wait_for


def some_tar(size: int = 1000) -> tuple[bytes, str]:
    """Returns a legal context that nobody sent before, and its digest."""
    data = make_tar(Dockerfile=b"FROM scratch\n", noise=os.urandom(size))
    return data, hashlib.sha256(data).hexdigest()


def put(client: httpx.Client, digest: str, data: bytes, **headers: object) -> httpx.Response:
    sent = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return client.put(f"/v1/contexts/{digest}", content=data, headers=sent)


def kept(server: Server, digest: str) -> list[str]:
    return [path.name for path in (server.data / "contexts").glob(f"{digest}*")]


def test_a_context_is_uploaded_and_used(
    server: Server, alice: httpx.Client, node_token: httpx.Client
) -> None:
    data, digest = some_tar(300_000)
    before = alice.head(f"/v1/contexts/{digest}")
    assert (before.status_code, before.headers["x-received"]) == (404, "0")
    assert put(alice, digest, data, x_offset=0, x_total=len(data)).status_code == 201
    assert alice.head(f"/v1/contexts/{digest}").status_code == 200
    assert node_token.get(f"/v1/contexts/{digest}").content == data
    answer = alice.post("/v1/jobs", json={"spec": {"context": digest}})
    assert answer.status_code == 201
    assert kept(server, digest) == [f"{digest}.tar"]


def test_a_second_upload_of_what_is_there_is_done_at_once(alice: httpx.Client) -> None:
    data, digest = some_tar()
    assert put(alice, digest, data).status_code == 201
    assert put(alice, digest, data).status_code == 201


def test_an_upload_goes_on_where_it_stopped(alice: httpx.Client) -> None:
    data, digest = some_tar(50_000)
    first = put(alice, digest, data[:20_000], x_offset=0, x_total=len(data))
    assert (first.status_code, first.headers["x-received"]) == (202, "20000")
    assert alice.head(f"/v1/contexts/{digest}").headers["x-received"] == "20000"
    wrong = put(alice, digest, data[10_000:], x_offset=10_000, x_total=len(data))
    assert wrong.status_code == 409
    assert error_of(wrong)["details"]["received"] == 20_000
    assert put(alice, digest, data[20_000:], x_offset=20_000, x_total=len(data)).status_code == 201


def test_what_came_before_a_lost_connection_is_kept(server: Server, alice: httpx.Client) -> None:
    data, digest = some_tar(200_000)
    head = (
        f"PUT /v1/contexts/{digest} HTTP/1.1\r\nHost: x\r\nAuthorization: {alice.headers['authorization']}\r\n"
        f"X-Offset: 0\r\nX-Total: {len(data)}\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + data[:100_000])
        threading.Event().wait(0.1)

    def received() -> int:
        return int(alice.head(f"/v1/contexts/{digest}").headers["x-received"])

    at = wait_for(received, 5, "the part to be kept")
    assert 0 < at <= 100_000

    def rest() -> bool:
        return put(alice, digest, data[at:], x_offset=at, x_total=len(data)).status_code == 201

    wait_for(rest, 5, "the lock to be given back")


def test_damaged_bytes_are_refused_and_not_kept(server: Server, alice: httpx.Client) -> None:
    data, digest = some_tar()
    answer = put(alice, digest, data[:-1] + b"x", x_total=len(data))
    assert answer.status_code == 422
    assert "SHA-256" in error_of(answer)["what"]
    assert kept(server, digest) == []


@pytest.mark.parametrize(
    ("member", "word"),
    [
        ({"name": "/etc/passwd"}, "absolute"),
        ({"name": "../evil"}, '".."'),
        ({"name": "dev", "type": tarfile.CHRTYPE}, "dev"),
        ({"name": "link", "type": tarfile.LNKTYPE, "linkname": "../../x"}, '".."'),
    ],
)
def test_a_hostile_tar_is_refused_and_not_kept(
    server: Server, alice: httpx.Client, member: dict[str, str], word: str
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("Dockerfile"))
        info = tarfile.TarInfo("x")
        for key, value in member.items():
            setattr(info, key, value)
        tar.addfile(info)
    data = out.getvalue()
    digest = hashlib.sha256(data).hexdigest()
    answer = put(alice, digest, data)
    assert answer.status_code == 422
    error = error_of(answer)
    assert word in error["what"]
    assert error["next"]
    assert kept(server, digest) == []


def test_a_job_whose_dockerfile_is_not_in_its_context_is_refused(alice: httpx.Client) -> None:
    data, digest = some_tar()
    put(alice, digest, data)
    answer = alice.post("/v1/jobs", json={"spec": {"context": digest, "dockerfile": "docker/Gpu"}})
    assert answer.status_code == 422
    assert "docker/Gpu" in error_of(answer)["what"]


def test_over_the_sites_limit_nothing_is_kept(server: Server, alice: httpx.Client) -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    announced = put(alice, digest, b"x", x_total=5 * 2**20)
    assert announced.status_code == 413
    data = bytes(5 * 2**20)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(data), 2**18):
            yield data[start : start + 2**18]

    grown = alice.put(f"/v1/contexts/{digest}", content=pieces())  # chunked: no size is announced
    assert grown.status_code == 413
    assert "5MB" in error_of(announced)["what"]
    assert kept(server, digest) == []


def test_two_uploads_of_one_context_do_not_mix(server: Server, alice: httpx.Client) -> None:
    data, digest = some_tar(500_000)
    going_on = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield data[:1000]
        going_on.wait(10)
        yield data[1000:]

    answers: list[httpx.Response] = []
    headers = {"Authorization": alice.headers["authorization"], "X-Total": str(len(data))}

    def first() -> None:
        answers.append(httpx.put(f"{server.url}/v1/contexts/{digest}", content=slowly(), headers=headers))

    thread = threading.Thread(target=first)
    thread.start()
    part = server.data / "contexts" / f"{digest}.part"
    wait_for(part.exists, 5, "the first upload to begin")
    second = put(alice, digest, data, x_total=len(data))
    going_on.set()
    thread.join()
    assert second.status_code == 409
    assert "being sent by another" in error_of(second)["what"]
    assert second.headers["retry-after"] == "1"
    assert answers[0].status_code == 201
    assert alice.head(f"/v1/contexts/{digest}").status_code == 200


def test_no_digest_is_no_path(alice: httpx.Client) -> None:
    for digest in ("xyz", "A" * 64, "..%2f..%2fetc"):
        assert put(alice, digest, b"x").status_code in {404, 422}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 70 MB, 64 of which the server keeps free."""
    need(os.geteuid() == 0, "root, to mount a small tmpfs")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=70m", "none", str(place)], capture_output=True, check=False
    )
    need(mounted.returncode == 0, "the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_said_and_nothing_is_half_kept(redis_server: RedisServer, small_disk: Path) -> None:
    server = Server(redis_server, small_disk / "data", "--only", "api")
    server.start()
    try:
        alice, token = server.person(), server.person(agent=True)
        digest = "a" * 64
        announced = put(alice, digest, b"x", x_total=50 * 2**20)
        assert announced.status_code == 507
        error = error_of(announced)
        assert (error["code"], "nothing of it was kept" in error["what"]) == ("storage_full", True)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(66 * 2**20))
        data = bytes(2**20)

        def pieces() -> Iterator[bytes]:
            for _ in range(8):
                yield data

        grown = alice.put(f"/v1/contexts/{digest}", content=pieces())
        assert grown.status_code == 507
        assert kept(server, digest) == []
        sent = token.put("/v1/agent/outputs/1/1", content=pieces())
        assert sent.status_code == 507
        assert list((server.data / "outputs" / "1").iterdir()) == []
        log = token.put("/v1/agent/logs/1/1.labqlog", content=pieces(), headers={"X-Offset": "0"})
        assert log.status_code == 507
        assert (server.data / "logs/1/1.labqlog").stat().st_size == 0
        filler.unlink()
        assert alice.get("/v1/me").status_code == 200
    finally:
        server.close()
