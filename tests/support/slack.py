"""A Slack that records: Web API, addresses for answers, and Socket Mode's WebSocket, for the real slack_sdk to talk to."""

import base64
import contextlib
import hashlib
import json
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest

from support.waiting import wait_for

#: Methods that take their arguments from the query or a form, never from JSON.
READING = {"conversations.history", "conversations.list"}
BOT, APP = "xoxb-secret-of-the-bot", "xapp-secret-of-the-app"


@dataclass(frozen=True)
class Post:
    """One message in a conversation."""

    channel: str
    body: dict[str, Any]
    at: float

    @property
    def notice(self) -> str:
        """The id in its metadata."""
        return str(self.body.get("metadata", {}).get("event_payload", {}).get("id", ""))

    @property
    def text(self) -> str:
        """All that a person reads of it."""
        return "\n".join(_texts(self.body.get("blocks", [])))


@dataclass
class Behaviour:
    """What a method does once instead of its usual."""

    status: int = 200
    error: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    #: do the usual first, and only then answer like this
    done: bool = False
    #: answer only when `released` is set (or the test is over)
    hangs: bool = False


class SlackServer:
    """One workspace.

    Attributes:
        url: For `LABQ_SLACK_API_URL`.
        posts: Every message, in order.
        calls: Name of every method that was called, with its arguments.
        answers: What was sent to the addresses for answers.
    """

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[dict[str, Any]] = []
        self.channels = {"general": "C0GENERAL"}
        self.released = threading.Event()
        self.hanging = threading.Semaphore(0)
        self.socket = SocketMode()
        self._next: dict[str, deque[Behaviour]] = defaultdict(deque)
        self._lock = threading.Lock()
        outer = self

        class Handler(_Handler):
            slack = outer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/api/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        """Ends it, and whoever hangs on it."""
        self.released.set()
        self.socket.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def next(self, method: str, *behaviours: Behaviour) -> None:
        """Says what a method does the next times."""
        with self._lock:
            self._next[method].extend(behaviours)

    def to(self, slack_id: str) -> list[Post]:
        """The messages that one person got directly."""
        return [post for post in self.posts if post.channel == f"D{slack_id}"]

    def called(self, method: str) -> int:
        """How often a method was called."""
        return sum(name == method for name, _ in self.calls)

    def wait_hanging(self, timeout: float = 20) -> None:
        """Waits until a request hangs."""
        assert self.hanging.acquire(timeout=timeout), "nobody hangs"

    def call(
        self, method: str, said: dict[str, Any], token: str
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Answers one call of the Web API."""
        if token not in {BOT, APP}:
            return 200, {}, {"ok": False, "error": "invalid_auth"}
        with self._lock:
            self.calls.append((method, said))
            behaviour = self._next[method].popleft() if self._next[method] else None
        if behaviour is not None and not behaviour.done:
            return self._misbehave(behaviour)
        answer = getattr(self, "_" + method.replace(".", "_"), self._unknown)(said)
        return (200, {}, answer) if behaviour is None else self._misbehave(behaviour)

    def _misbehave(self, behaviour: Behaviour) -> tuple[int, dict[str, str], dict[str, Any]]:
        if behaviour.hangs:
            self.hanging.release()
            self.released.wait(60)
        body = {"ok": False, "error": behaviour.error or "fatal_error"}
        return behaviour.status, behaviour.headers, body

    def _unknown(self, _said: dict[str, Any]) -> dict[str, Any]:
        return {"ok": False, "error": "unknown_method"}

    def _auth_test(self, _said: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "user_id": "UBOT"}

    def _apps_connections_open(self, _said: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "url": self.socket.url}

    def _conversations_open(self, said: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "channel": {"id": f"D{said['users']}"}}

    def _conversations_list(self, _said: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "channels": [{"id": i, "name": n} for n, i in self.channels.items()]}

    def _chat_postMessage(self, said: dict[str, Any]) -> dict[str, Any]:
        if problem := _limits(said):
            return {"ok": False, "error": "invalid_blocks", "detail": problem}
        with self._lock:
            self.posts.append(Post(said["channel"], said, time.time()))  # noqa: TID251 - Slack's own clock
            return {"ok": True, "channel": said["channel"], "ts": f"{self.posts[-1].at:.6f}"}

    def _conversations_history(self, said: dict[str, Any]) -> dict[str, Any]:
        oldest = float(said.get("oldest") or 0)
        if "channel" not in said:
            return {"ok": False, "error": "invalid_arguments"}
        found = [p for p in reversed(self.posts) if p.channel == said["channel"] and p.at >= oldest]
        start, size = int(said.get("cursor") or 0), int(said.get("limit") or 100)
        wanted = str(said.get("include_all_metadata")).lower() in {"1", "true"}
        messages = [
            {"text": post.body["text"], **({"metadata": post.body["metadata"]} if wanted else {})}
            for post in found[start : start + size]
        ]
        more = str(start + size) if start + size < len(found) else ""
        return {"ok": True, "messages": messages, "response_metadata": {"next_cursor": more}}


class SocketMode:
    """The other end of Socket Mode: RFC 6455 as far as text, ping and close."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/link?ticket=secret-of-the-socket"
        #: envelope id -> when it was acknowledged, in seconds of the monotonic clock
        self.acks: dict[str, float] = {}
        self.connections = 0
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """Cuts every connection."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def send(self, kind: str, envelope: str, payload: dict[str, Any], timeout: float = 20) -> None:
        """Sends an envelope over the newest connection."""
        wait_for(lambda: self._open, timeout, "the notifier to open the socket")
        body = {"type": kind, "envelope_id": envelope, "payload": payload, "accepts_response_payload": True}
        self._open[-1].sendall(_frame(1, json.dumps(body).encode()))

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, EOFError):
            stream = connection.makefile("rb")
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += stream.readline() or b"\r\n\r\n"
            lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
            key = next(value for name, value in lines.items() if name.lower() == "sec-websocket-key")
            magic = (key.strip() + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()
            accept = base64.b64encode(hashlib.sha1(magic, usedforsecurity=False).digest()).decode()
            connection.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
            )
            connection.sendall(_frame(1, b'{"type": "hello", "num_connections": 1}'))
            self._open.append(connection)
            self.connections += 1
            try:
                self._read(connection, stream)
            finally:
                self._open.remove(connection)

    def _read(self, connection: socket.socket, stream: Any) -> None:
        while True:
            first, second = _exactly(stream, 2)
            size = second & 127
            if size == 126:
                (size,) = struct.unpack(">H", _exactly(stream, 2))
            mask = _exactly(stream, 4) if second & 128 else b"\0\0\0\0"
            data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(_exactly(stream, size)))
            match first & 15:
                case 1:
                    self.acks.setdefault(json.loads(data)["envelope_id"], time.monotonic())
                case 8:
                    return
                case 9:
                    connection.sendall(_frame(10, data))


class _Handler(BaseHTTPRequestHandler):
    slack: SlackServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answers a call, or takes an answer."""
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "json" in (self.headers.get("Content-Type") or ""):
            said = json.loads(data or b"{}")
        else:
            said = dict(parse_qsl(self.path.partition("?")[2])) | dict(parse_qsl(data.decode()))
        if self.path.startswith("/answer/"):
            self.slack.answers.append(said | {"path": self.path})
            self._send(200, {}, b"ok")
            return
        self._call(self.path, said)

    def do_GET(self) -> None:
        """Answers a call whose arguments are in the query."""
        path, _, query = self.path.partition("?")
        self._call(path, dict(parse_qsl(query)))

    def _call(self, path: str, said: dict[str, Any]) -> None:
        method = path.removeprefix("/api/").partition("?")[0]
        if method in READING and "json" in (self.headers.get("Content-Type") or ""):
            said = {}  # Slack reads no JSON there
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        status, headers, body = self.slack.call(method, said, token)
        self._send(status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        with contextlib.suppress(OSError):  # whoever asked may be dead by now: that is what is tested
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""


def _exactly(stream: Any, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return bytes(data)


def _frame(opcode: int, data: bytes) -> bytes:
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
    return bytes([0x80 | opcode]) + size + data


def _texts(blocks: Any) -> list[str]:
    if isinstance(blocks, list):
        return [text for block in blocks for text in _texts(block)]
    if not isinstance(blocks, dict):
        return []
    own = [blocks["text"]] if isinstance(blocks.get("text"), str) else []
    return own + [text for value in blocks.values() if not isinstance(value, str) for text in _texts(value)]


def _limits(said: dict[str, Any]) -> str:
    """Slack's limits, as its reference of blocks gives them: what is over is refused."""
    blocks = said.get("blocks") or []
    if len(blocks) > 50 or len(said.get("text", "")) > 40_000:
        return "too much"
    for block in blocks:
        text = block.get("text", {}).get("text", "-")
        most = {"header": 150, "section": 3000}.get(block["type"], 10_000)
        if not 0 < len(text) <= most or len(block.get("fields", ())) > 10:
            return f"a {block['type']} is too long or empty"
        if any(not 0 < len(one["text"]) <= 2000 for one in block.get("fields", ())):
            return "a field is too long or empty"
    return ""


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """An empty workspace."""
    server = SlackServer()
    try:
        yield server
    finally:
        server.close()
