"""``/metrics`` and ``/healthz`` over HTTP or HTTPS. It shows what is there and never waits for the driver."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from labq.errors import BadInputError
from labq_exporter.web_config import WebConfig

log = logging.getLogger(__name__)
#: Seconds that a client may be silent, also in the middle of a TLS handshake.
PATIENCE = 10.0
#: Connections at the same time; a scraper needs one or two. For one more the oldest is cut off.
MOST = 16
#: Threads at the same time: those of connections that were cut off may still be checking a password.
THREADS = 4 * MOST
_INDEX = b"""<!doctype html><title>labq exporter</title><h1>labq exporter</h1>
<p><a href="/metrics">metrics</a> <a href="/healthz">healthz</a></p>
"""


class Web:
    """The server, in threads of its own."""

    def __init__(
        self,
        host: str,
        port: int,
        config: WebConfig | None,
        *,
        page: Callable[[], tuple[bytes, str]],
        healthy: Callable[[], tuple[bool, str]],
    ) -> None:
        """Listen.

        Args:
            host: address.
            port: 0 = any; ``port`` says which.
            config: TLS and passwords; None = neither.
            page: returns the metrics and their content type, at once.
            healthy: says whether this program does its work, and a line about it.

        Raises:
            BadInputError: the address cannot be used.
        """

        class Handler(_Handler):
            pass

        Handler.page, Handler.healthy, Handler.config = staticmethod(page), staticmethod(healthy), config

        class Server(_Server):
            pass

        Server.config, Server.guests = config, _Guests()
        try:
            Server.address_family, address = _resolve(host, port)
            self._server = Server(address, Handler)
        except (OSError, OverflowError) as error:
            raise BadInputError(
                f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}",
                "choose another with LABQ_EXPORTER_HOST and LABQ_EXPORTER_PORT",
            ) from None
        self.port = int(self._server.server_address[1])
        self.scheme = "https" if config is not None and config.tls is not None else "http"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="web", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()


class _Guests:
    """The open connections, oldest first: a hundred that say nothing must not keep the scraper out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: what was accepted -> what speaks on it now (TLS)
        self._open: dict[socket.socket, socket.socket] = {}
        self._threads = 0

    def enter(self, request: socket.socket) -> bool:
        """Take one more, and cut off the oldest if they are too many; return False when it cannot be served."""
        with self._lock:
            if self._threads >= THREADS:
                return False
            while len(self._open) >= MOST:
                oldest = self._open.pop(next(iter(self._open)))
                with suppress(OSError):
                    # Not SSLSocket's own, which another thread may be in the middle of.
                    socket.socket.shutdown(oldest, socket.SHUT_RDWR)
            self._open[request] = request
            self._threads += 1
            return True

    def speak(self, request: socket.socket, secured: socket.socket) -> None:
        """Note that TLS took a connection over."""
        with self._lock:
            if request in self._open:
                self._open[request] = secured
                return
        raise ConnectionAbortedError("cut off")

    def leave(self, request: socket.socket) -> None:
        """Forget a connection; only afterwards it may be closed."""
        with self._lock:
            self._open.pop(request, None)

    def end(self) -> None:
        """Note that a thread ends."""
        with self._lock:
            self._threads -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    guests: _Guests
    config: WebConfig | None = None

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self.guests.enter(request):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.guests.end()

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(PATIENCE)
        try:
            if self.config is None or self.config.tls is None:
                super().finish_request(request, client_address)
                return
            with self.config.tls.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            ) as secured:
                self.guests.speak(request, secured)
                try:
                    # Here, in the client's own thread: a slow handshake keeps nobody waiting.
                    secured.do_handshake()
                    super().finish_request(secured, client_address)
                finally:
                    self.guests.leave(request)
        finally:
            self.guests.leave(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Called from an except clause of socketserver: a scraper that hung up, or a failed handshake.
        log.debug("a request of %s failed", client_address, exc_info=True)  # noqa: LOG014


class _Handler(BaseHTTPRequestHandler):
    page: Callable[[], tuple[bytes, str]]
    healthy: Callable[[], tuple[bool, str]]
    config: WebConfig | None = None
    timeout = PATIENCE

    def version_string(self) -> str:
        return "labq-exporter"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            good, text = self.healthy()
            self._answer(200 if good else 503, f"{text}\n".encode(), "text/plain; charset=utf-8")
        elif self.config is not None and not self.config.lets_in(self.headers.get("Authorization", "")):
            self._answer(401, b"name and password, please\n", "text/plain", ("WWW-Authenticate", "Basic"))
        elif path == "/metrics":
            self._answer(200, *self.page())
        elif path == "/":
            self._answer(200, _INDEX, "text/html; charset=utf-8")
        else:
            self._answer(404, b"look at /metrics\n", "text/plain")

    do_HEAD = do_GET

    def _answer(self, status: int, body: bytes, kind: str, *more: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *more):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class says so
        log.debug("%s %s", self.address_string(), format % args)


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return found[0], found[4]
