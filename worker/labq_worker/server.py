"""HTTP to the labq server, as an agent. Standard library only; the token is sent and never shown."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from labq.errors import BadInputError

#: Seconds without a byte after which a request is given up.
TIMEOUT = 30.0


class ServerError(Exception):
    """The server refused, or did not answer."""

    def __init__(self, text: str, status: int = 0, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.details = details or {}

    @property
    def passes(self) -> bool:
        """Whether it may answer otherwise later: no answer (0), too busy, or a fault of its own."""
        return self.status in {0, 408, 429} or self.status >= 500


class Server:
    """The address of the server and our token. For several threads; each request has its own connection."""

    def __init__(self, address: str, token: str) -> None:
        """Use the address.

        Raises:
            BadInputError: it is no HTTP address.
        """
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadInputError(f"LABQ_SERVER {address!r} is not an address", "write http://HOST:7580")
        self._parts = parts
        self._token = token

    def __repr__(self) -> str:
        """Return the address without the token."""
        return f"Server({self._parts.scheme}://{self._parts.netloc})"

    def connect(self) -> HTTPConnection:
        """Return a connection, for callers that send several requests in a row."""
        host = self._parts.hostname or ""
        if self._parts.scheme == "https":
            return HTTPSConnection(
                host, self._parts.port, timeout=TIMEOUT, context=ssl.create_default_context()
            )
        return HTTPConnection(host, self._parts.port, timeout=TIMEOUT)

    def request(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HTTPResponse:
        """Send one request and return its successful answer, unread.

        Raises:
            ServerError: refused, or no answer.
        """
        sent = {"Authorization": f"Bearer {self._token}"} | dict(headers or {})
        chunked = body is not None and not isinstance(body, bytes)
        if chunked:
            sent["Transfer-Encoding"] = "chunked"
        try:
            connection.request(
                method, self._parts.path.rstrip("/") + path, body, sent, encode_chunked=chunked
            )
            answer = connection.getresponse()
            if answer.status < 300:
                return answer
            text = answer.read(65536)
        except (OSError, HTTPException) as error:
            connection.close()
            raise ServerError(f"{self!r} does not answer: {error or type(error).__name__}") from None
        raise _refused(answer.status, text)

    def put(
        self,
        connection: HTTPConnection,
        path: str,
        body: bytes | Iterable[bytes],
        headers: Mapping[str, str],
    ) -> None:
        """Send a PUT and see its successful answer through.

        Raises:
            ServerError: refused, or no whole answer.
        """
        try:
            self.request(connection, "PUT", path, body, headers).read()
        except (OSError, HTTPException) as error:
            connection.close()
            raise ServerError(f"{self!r} broke off its answer: {type(error).__name__}") from None

    def get(self, path: str, chunk: int) -> Iterator[bytes]:
        """Yield the body of a GET in chunks.

        Raises:
            ServerError: refused, or no whole answer.
        """
        connection = self.connect()
        try:
            answer = self.request(connection, "GET", path)
            while data := self._read(answer, chunk):
                yield data
            if answer.length:  # http.client tells of a body that was cut short only where it came in chunks
                raise ServerError(f"{self!r} broke off its answer: {answer.length} bytes are missing")
        finally:
            connection.close()

    def _read(self, answer: HTTPResponse, size: int) -> bytes:
        try:
            return answer.read(size)
        except (OSError, HTTPException) as error:
            raise ServerError(f"{self!r} broke off its answer: {type(error).__name__}") from None


def _refused(status: int, text: bytes) -> ServerError:
    try:
        said = json.loads(text)["error"]
        return ServerError(str(said["what"]), status, said.get("details") or {})
    except (ValueError, KeyError, TypeError):
        return ServerError(f"the server answered {status}", status)
