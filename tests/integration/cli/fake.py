"""A server that does what the routes' description says, and misbehaves when a test tells it to."""

import json
import re
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


def as_json(status: int, body: Any, **headers: str) -> Reply:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode()


def error(status: int, code: str, what: str, then: str = "do it") -> Reply:
    return as_json(status, {"error": {"code": code, "what": what, "next": then}})


class Dropped(Exception):
    """Raised by a route to close the connection without an answer."""


class FakeServer:
    """Routes are functions of the request, in a table by "METHOD pattern"; the last one that matches counts.

    Attributes:
        requests: (method, path with query, headers, body) of every request.
        contexts: what was uploaded, by digest.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.contexts: dict[str, bytearray] = {}
        self.complete: set[str] = set()
        #: bytes after which each PUT is cut off; empty = no more
        self.cut_after: list[int] = []
        self.largest_piece = 0
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Reply | None]]] = []
        self.add(
            "GET", r"/v1/me", lambda r: as_json(200, {"name": "hiro", "uid": 1, "gid": 1, "admin": False})
        )
        self.add("GET", r"/readyz", lambda r: as_json(200, {"ok": True}))
        self.add("HEAD", r"/v1/contexts/(\w+)", self._head_context)
        self.add("PUT", r"/v1/contexts/(\w+)", self._put_context)
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                upload = self.command == "PUT" and "/contexts/" in self.path
                self.body = b"" if upload else self.rfile.read(length)
                headers = {key.lower(): value for key, value in self.headers.items()}
                fake.requests.append((self.command, self.path, headers, self.body))
                try:
                    reply = fake.route(self)
                except Dropped:
                    self.close_connection = True
                    return
                if reply is None:
                    return
                status, more, body = reply
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **more}.items():
                    self.send_header(key, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _answer

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, method: str, pattern: str, answer: Callable[..., Reply | None]) -> None:
        """Adds a route; `answer` gets the handler and the groups of the pattern."""
        self._routes.append((method, re.compile(pattern), answer))

    def add_json(self, method: str, pattern: str, body: Any, status: int = 200) -> None:
        """Adds a route that always answers the same."""
        self.add(method, pattern, lambda handler, *_: as_json(status, body))

    def route(self, handler: Any) -> Reply | None:
        path = handler.path.partition("?")[0]
        for method, pattern, answer in reversed(self._routes):
            match = pattern.fullmatch(path)
            if method == handler.command and match:
                return answer(handler, *match.groups())
        return error(404, "not_found", f"there is no {path}")

    def bodies(self, method: str, path: str) -> list[Any]:
        """What was sent to a path, as JSON."""
        return [
            json.loads(body) for m, p, _, body in self.requests if (m, p.partition("?")[0]) == (method, path)
        ]

    def _head_context(self, handler: Any, sha: str) -> Reply:
        if sha in self.complete:
            return 200, {}, b""
        return 404, {"X-Received": str(len(self.contexts.get(sha, b"")))}, b""

    def _put_context(self, handler: Any, sha: str) -> Reply:
        held = self.contexts.setdefault(sha, bytearray())
        offset, total = int(handler.headers["X-Offset"]), int(handler.headers["X-Total"])
        if offset != len(held):
            return error(409, "conflict", "wrong offset")
        left = int(handler.headers["Content-Length"])
        cut = self.cut_after.pop(0) if self.cut_after else -1
        while left:
            piece = handler.rfile.read1(min(left, 1 << 16))
            held += piece
            left -= len(piece)
            if 0 <= cut <= len(held) - offset:
                raise Dropped
        if len(held) == total:
            self.complete.add(sha)
        return 201, {}, b""


def stream(handler: Any, *events: tuple[str, str, Any]) -> None:
    """Sends server-sent events (event, id, body) and ends the stream; a body of bytes is a piece of log."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.send_header("Connection", "close")
    handler.end_headers()
    for event, event_id, body in events:
        if isinstance(body, bytes):
            body = {"stream": "stdout", "t": "2027-01-15T07:00:00.000Z", "b64": b64encode(body).decode()}
        head = f"event: {event}\n" + (f"id: {event_id}\n" if event_id else "")
        handler.wfile.write(f"{head}data: {json.dumps(body)}\n\n".encode())
        handler.wfile.flush()
    handler.close_connection = True


def job(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(number), "name": f"実験{number}", "owner": "hiro", "state": "running", "end_reason": None, "verdict": None,
        "exit_code": None, "node": "n1", "gpus": [], "simulated": True, "submitted_at": "2026-01-15T07:00:00.000Z",
        "started_at": "2026-01-15T07:10:00.000Z", "ended_at": None, "gpu_request": "1", "priority": "normal", "tags": [],
        "note": "", "array": None, "index": None, "attempt": 1, "why": None, **changes,
    }  # fmt: skip


ENDED = {
    "state": "failed",
    "end_reason": "exit_code",
    "exit_code": 3,
    "verdict": "Failed: exit code 3 after 5s.",
}
