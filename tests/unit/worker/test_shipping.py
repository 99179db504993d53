"""What is sent to the server is whole, what cannot be read is named and kept, what is being written stays."""

import io
import os
import tarfile
import threading
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, cast

import pytest
from support.waiting import wait_for

from labq.logfile import HEADER, STDOUT, LogWriter
from labq_worker.paths import Paths
from labq_worker.server import Server, ServerError
from labq_worker.shipping import LogSender, Shipper


class Kept:
    """A server that keeps what it is sent."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.files: dict[str, bytes] = {}
        self.closed = threading.Event()

    def connect(self) -> HTTPConnection:
        """Return what is never used."""
        return HTTPConnection("127.0.0.1", 9)

    def put(
        self, _: HTTPConnection, path: str, body: bytes | Iterable[bytes], headers: Mapping[str, str]
    ) -> None:
        """Keep it, as the real one does."""
        data = body if isinstance(body, bytes) else b"".join(body)
        if "X-Offset" in headers:
            kept = self.files.get(path, b"")
            if int(headers["X-Offset"]) != len(kept):
                raise ServerError("not its size", 409, {"size": len(kept)})
            data = kept + data
        self.files[path] = data


def shipper(tmp_path: Path) -> tuple[Shipper, Kept]:
    """One that sends to such a server."""
    kept = Kept()
    return Shipper(Paths(tmp_path), cast("Server", kept)), kept


def test_a_torn_frame_is_not_sent(tmp_path: Path) -> None:
    path, kept = tmp_path / "1.labqlog", Kept()
    writer = LogWriter(path)
    writer.write(STDOUT, 1, b"whole\n")
    size = writer.size
    with path.open("ab") as handle:
        handle.write(HEADER.pack(STDOUT, 2, 100) + b"torn")
    sender = LogSender(cast("Server", kept), path, "7/1.labqlog")
    while sender.send(cast("Any", None)):
        continue
    (sent,) = kept.files.values()
    assert sent == path.read_bytes()[:size]
    again = LogWriter(path)  # the next agent: cuts off, and goes on
    again.write(STDOUT, 3, b"x" * 3_000_000)
    assert sender.send(cast("Any", None))
    while sender.send(cast("Any", None)):
        continue
    assert kept.files["/v1/agent/logs/7/1.labqlog"] == path.read_bytes()


def test_a_new_sender_goes_on_where_the_server_is(tmp_path: Path) -> None:
    path, kept = tmp_path / "1.labqlog", Kept()
    writer = LogWriter(path)
    for number in range(1000):
        writer.write(STDOUT, number, b"line %d\n" % number)
    kept.files["/v1/agent/logs/7/1.labqlog"] = path.read_bytes()[:1003]  # broke off inside a frame
    sender = LogSender(cast("Server", kept), path, "7/1.labqlog")
    while sender.send(cast("Any", None)):
        continue
    assert kept.files["/v1/agent/logs/7/1.labqlog"] == path.read_bytes()


def test_outputs_that_cannot_be_read_are_named_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "outputs" / "7" / "1"
    folder.mkdir(parents=True)
    (folder / "good").write_text("good")
    (folder / "private").write_text("mine")
    real = os.open

    def refused(name: Any, *rest: Any, **more: Any) -> int:
        if name == "private":
            raise PermissionError(13, "Permission denied", name)
        return real(name, *rest, **more)

    monkeypatch.setattr(os, "open", refused)  # the tests run as root, who may read everything
    ship, kept = shipper(tmp_path)
    ship.outputs("7", 1)
    wait_for(lambda: not folder.exists(), 5, "it to be put away")
    with tarfile.open(fileobj=io.BytesIO(kept.files["/v1/agent/outputs/7/1"])) as tar:
        assert tar.getnames() == ["good", "LABQ-LEFT-OUT.txt"]
        named = tar.extractfile("LABQ-LEFT-OUT.txt")
        assert named is not None
        assert b"private: Permission denied" in named.read()
    assert (tmp_path / "outputs" / "7" / "1.left-out" / "private").read_text() == "mine"


def test_outputs_that_were_sent_whole_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "7" / "1"
    (folder / "a").mkdir(parents=True)
    ship, kept = shipper(tmp_path)
    ship.bring_leftovers(set)
    wait_for(lambda: not list((tmp_path / "outputs" / "7").iterdir()), 5, "them to be removed")
    assert list(kept.files) == ["/v1/agent/outputs/7/1"]


def test_the_log_of_an_image_that_is_being_prepared_is_no_leftover(tmp_path: Path) -> None:
    busy, over = (
        tmp_path / "logs" / "images" / "a@n1-2.labqlog",
        tmp_path / "logs" / "images" / "b@n1-1.labqlog",
    )
    for path in (busy, over):
        writer = LogWriter(path)
        writer.write(STDOUT, 1, b"built\n")
        writer.close()
    ship, kept = shipper(tmp_path)
    ship.bring_leftovers(set, lambda path: path == busy)
    wait_for(lambda: not over.exists(), 5, "the leftover to be brought")
    assert busy.exists()
    assert list(kept.files) == ["/v1/agent/logs/images/b@n1-1.labqlog"]
