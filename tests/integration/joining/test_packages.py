"""Nodes install labq from the server: wheels, their checksums, and nothing else of the disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from pathlib import Path

import httpx
import pytest
from integration.scheduler_api.server_process import Server

from labq import __version__

OWN, OLD = f"labq-{__version__}-py3-none-any.whl", "labq-0.0.1-py3-none-any.whl"


@pytest.fixture
def wheels(server: Server) -> Path:
    found = Path(server.env["LABQ_PACKAGES_DIR"])
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir()
    for name, age in ((OWN, 100), (OLD, 0)):
        (found / name).write_bytes(name.encode() * 1000)
        os.utime(found / name, (1_700_000_000 - age, 1_700_000_000 - age))
    return found


def test_without_any_wheel_the_list_is_empty(server: Server) -> None:
    assert httpx.get(f"{server.url}/v1/packages").json() == []


def test_the_last_of_the_list_is_the_servers_own_version_and_its_checksum_is_true(
    server: Server, wheels: Path
) -> None:
    rows = httpx.get(f"{server.url}/v1/packages").json()
    data = (wheels / OWN).read_bytes()
    assert [row["file"] for row in rows] == [OLD, OWN]
    assert rows[-1] == {
        "name": "labq", "version": __version__, "file": OWN, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data),
    }  # fmt: skip
    got = httpx.get(f"{server.url}/v1/packages/{OWN}")
    assert got.content == data
    assert got.headers["etag"] == f'"{rows[-1]["sha256"]}"'
    again = httpx.get(f"{server.url}/v1/packages/{OWN}", headers={"If-None-Match": got.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_wheel_that_was_replaced_has_another_checksum(server: Server, wheels: Path) -> None:
    before = httpx.get(f"{server.url}/v1/packages").json()[-1]["sha256"]
    (wheels / OWN).write_bytes(b"new")
    after = httpx.get(f"{server.url}/v1/packages").json()[-1]
    assert after["sha256"] == hashlib.sha256(b"new").hexdigest() != before


@pytest.mark.parametrize(
    "name",
    [
        "..%2Fdata%2Fserver.json",
        "%2Fetc%2Fpasswd",
        "../data/server.json",
        "notes.txt",
        "labq-x.whl",
        "link.whl",
        "",
    ],
)
def test_nothing_but_wheels_of_the_directory_is_served(server: Server, wheels: Path, name: str) -> None:
    (wheels / "notes.txt").write_text("secret")
    (wheels / "labq-9-py3-none-any.whl").symlink_to("/etc/passwd")
    got = httpx.get(f"{server.url}/v1/packages/{name}")
    assert got.status_code in {404, 307} or got.json()[0]["name"] == "labq"
    assert b"secret" not in got.content
    rows = httpx.get(f"{server.url}/v1/packages").json()
    assert [row["file"] for row in rows] == [OLD, OWN]


def test_a_wheel_that_vanishes_while_all_are_listed_is_left_out(server: Server, wheels: Path) -> None:
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            for number in range(20):
                (wheels / f"labq-1.{number}-py3-none-any.whl").write_bytes(b"x" * 1000)
            for number in range(20):
                (wheels / f"labq-1.{number}-py3-none-any.whl").unlink()

    replacing = threading.Thread(target=replace)
    replacing.start()
    try:
        with httpx.Client() as client:
            answers = {client.get(f"{server.url}/v1/packages").status_code for _ in range(200)}
    finally:
        stop.set()
        replacing.join()
    assert answers == {200}
