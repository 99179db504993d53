"""An engine that answers nonsense: a rootless one answers what its user likes."""

import json
import logging
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from support.waiting import wait_for

from labq.holding import engines
from labq.holding.engines import Containers

ID = "a" * 64
DEEP = "[" * 100_000


class Liar(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Speaks HTTP; `says` is what it answers to a path that begins so."""

    daemon_threads = True
    says: dict[str, str]


class Handler(BaseHTTPRequestHandler):
    server: Liar

    def address_string(self) -> str:
        return "a unix socket"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        path = "/" + self.path.split("/", 2)[-1] if self.path.startswith("/v1") else self.path
        found = [text for start, text in self.server.says.items() if path.startswith(start)]
        body = (found[0] if found else "").encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def liar(tmp_path: Path) -> Iterator[Liar]:
    with Liar(str(tmp_path / "liar.sock"), Handler) as server:
        server.says = {
            "/_ping": "OK",
            "/version": json.dumps({"ApiVersion": "1.41", "MinAPIVersion": "1.24"}),
        }
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "nonsense", [DEEP, "7", "[7]", '{"message": 1}', '[{"Id": 7, "Names": 7}]', "[null]"]
)
def test_an_engine_that_answers_nonsense_is_asked_again_and_believed_when_it_speaks_sense(
    liar: Liar, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, nonsense: str
) -> None:
    monkeypatch.setattr(engines, "RETRY", 0.05)
    liar.says["/containers/json"] = nonsense
    made = Containers([str(liar.server_address)], timeout=2)
    with caplog.at_level(logging.WARNING):
        made.start()
        try:
            wait_for(lambda: "does not answer" in caplog.text, 10, "the nonsense to be noticed")
            image = {"Config": {"User": "", "Labels": None}}
            told = {
                "Id": ID,
                "Name": "/na\ud800me",
                "Image": "sha256:1",
                "Config": {"Labels": {"a": "\udfff"}},
            }
            liar.says[f"/containers/{ID}/json"] = json.dumps(told)
            liar.says["/images/"] = json.dumps(image)
            liar.says["/containers/json"] = json.dumps([{"Id": ID, "Names": ["/name"]}])
            wait_for(lambda: ID in made.known(), 20, "the container that is told of at last")
            facts = made.known()[ID]
            assert facts.labels == {"a": "�"}
            assert facts.name.encode()
        finally:
            made.stop()
