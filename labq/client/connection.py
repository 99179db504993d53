"""HTTP/1.1 over one socket: what this client needs and no more.

``http.client`` costs 15 ms at each start (it brings in ``email`` and ``ssl``); this costs under one.
Lives here: connecting, sending a request with a body of any size. The answer is in answer.py.
Must not live here: tokens, retries, JSON (session.py).
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable, Mapping

from labq.client.address import Address
from labq.client.answer import PIECE, NotHttpError, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LONGEST_LINE = 65_536


class Connection:
    """One connection to a server."""

    def __init__(self, address: Address, connect_timeout: float = 10.0) -> None:
        """Connect.

        Raises:
            OSError: when nobody answers there.
        """
        self.address = address
        #: nothing of an answer is outstanding
        self.reusable = True
        #: a request was not sent to its end
        self.spoilt = False
        self._buffer = b""
        if address.scheme == "unix":
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(connect_timeout)
            try:
                self._socket.connect(address.host)
            except OSError:
                self._socket.close()
                raise
            return
        # Text goes through the IDNA codec, whose import costs 2 ms; bytes do not.
        host: Any = address.host.encode() if address.host.isascii() else address.host
        self._socket = socket.create_connection((host, address.port), connect_timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.scheme == "https":
            import ssl

            context = ssl.create_default_context()
            self._socket = context.wrap_socket(self._socket, server_hostname=address.host)

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] = b"",
        length: int | None = None,
        timeout: float = 60.0,
    ) -> Response:
        """Send one request and return its answer as soon as its head is there.

        Args:
            method: GET, PUT, …
            target: path and query, without the address's prefix.
            headers: more headers; no line breaks in them.
            body: bytes, or pieces that together have ``length`` bytes.
            length: bytes of the body when it comes in pieces.
            timeout: seconds of silence that are borne.
        """
        self.reusable = False
        self._socket.settimeout(timeout)
        size = len(body) if isinstance(body, bytes) else length
        lines = [f"{method} {self.address.prefix}{target} HTTP/1.1", f"Host: {self.address.name}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if size or method in {"POST", "PUT"}:
            lines.append(f"Content-Length: {size}")
        head = "\r\n".join([*lines, "", ""]).encode()
        if isinstance(body, bytes):
            self._socket.sendall(head + body)
        else:
            self._send_pieces(head, body)
        return Response(self, method)

    def _send_pieces(self, head: bytes, body: Iterable[bytes]) -> None:
        """Send a long body; stop when the server has already answered (refused it)."""
        try:
            self._socket.sendall(head)
            for piece in body:
                if self.readable():
                    self.spoilt = True
                    return
                self._socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            # It may have said why before it closed.
            if not self.readable():
                raise
            self.spoilt = True

    def readable(self) -> bool:
        """Return whether an answer, or the connection's end, is there; no idle connection should be."""
        if self._buffer:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0)) and (self.address.scheme != "https" or self._readable_within_tls())

    def _readable_within_tls(self) -> bool:
        """Return whether what has arrived is more than TLS' own (session tickets come unasked)."""
        from ssl import SSLWantReadError

        before = self._socket.gettimeout()
        self._socket.settimeout(0.0)
        try:
            self._buffer += self._socket.recv(PIECE)
        except SSLWantReadError:
            return False
        finally:
            self._socket.settimeout(before)
        return True

    def line(self) -> bytes:
        """Return the next line without its end."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _LONGEST_LINE:
                raise NotHttpError("the answer has an endless line")
            piece = self._socket.recv(PIECE)
            if not piece:
                raise ConnectionResetError("the connection was closed")
            self._buffer += piece
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line.rstrip(b"\r")

    def some(self, most: int) -> bytes:
        """Return at least one byte and at most ``most``; b"" at the end of the connection."""
        if not self._buffer:
            return self._socket.recv(most)
        piece, self._buffer = self._buffer[:most], self._buffer[most:]
        return piece

    def close(self) -> None:
        """Close it."""
        self.reusable = False
        self._socket.close()
