"""Requests with a token, repeated when that is safe, and answers or errors in labq's words.

Lives here: the one connection that is kept alive, back-off, JSON, turning statuses into errors.
Must not live here: routes (client.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from time import monotonic, sleep

from labq.client.address import Address, with_query
from labq.client.answer import NotHttpError, Response
from labq.client.connection import Connection
from labq.errors import UnavailableError, from_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Query = Mapping[str, str | int | None]

#: Pauses before the second, third … try of a request.
BACKOFF = (0.1, 0.3, 1.0, 2.0)
#: Seconds of silence that an ordinary request bears.
TIMEOUT = 60.0


class Session:
    """A server, a token, and a connection. Not for two threads at once."""

    def __init__(self, server: str, token: str) -> None:
        """Take the server apart; nothing is sent yet.

        Raises:
            BadInputError: when ``server`` is no address.
        """
        self.address = Address(server)
        self._token = token
        self._connection: Connection | None = None
        #: somebody has listened there before, so that a lost connection is worth another try
        self._met = False
        #: called with a sentence when the server went away and is tried again
        self.on_away: Callable[[str], None] = lambda text: None

    def json(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool | None = None,
    ) -> Any:
        """Send a request and return the JSON of its answer (None when it has none)."""
        answer = self.send(method, path, query=query, body=body, headers=headers, repeat=repeat)
        return self.parsed(answer)

    def parsed(self, answer: Response) -> Any:
        """Return the JSON of an answer."""
        text = answer.read()
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise from_wire({}, answer.status) from None

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool | None = None,
        accept: tuple[int, ...] = (),
        stream: bool = False,
        timeout: float = TIMEOUT,
        patience: float = 0.0,
    ) -> Response:
        """Send a request and return its answer, which is not an error.

        Args:
            method: GET, PUT, …
            path: the route, quoted.
            query: items; None = left out.
            body: sent as JSON; None = no body.
            headers: more headers.
            repeat: whether it may be sent twice; None = unless it is POST.
            accept: statuses of 400 and above that are answers and no errors.
            stream: do not read the body before returning.
            timeout: seconds of silence that are borne.
            patience: seconds for which a server that went away is tried again; 0 = a few tries.

        Raises:
            LabqError: what the server refused, or that it is away.
        """
        data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        extra = {"Content-Type": "application/json"} if body is not None else {}
        target = with_query(path, query or {})
        again = method != "POST" if repeat is None else repeat
        started, tries = monotonic(), 0
        while True:
            try:
                answer = self._once(method, target, {**extra, **(headers or {})}, data, None, timeout)
                if not stream or answer.status >= 400:
                    answer.keep()
                if answer.status in accept:
                    return answer
                if monotonic() - started >= patience or not _is_away(answer):
                    return self._checked(answer)
            except OSError as error:
                patient = monotonic() - started < patience or (not patience and tries < len(BACKOFF))
                if not again or not patient or not self._met or isinstance(error, NotHttpError):
                    raise self.away(error) from None
            if tries == 0:
                long = f" for {patience / 60:g} minutes" if patience else ""
                self.on_away(f"{self.address.url} does not answer, trying again{long}")
            sleep(BACKOFF[min(tries, len(BACKOFF) - 1)])
            tries += 1

    def send_pieces(
        self, method: str, path: str, pieces: Iterable[bytes], length: int, headers: Mapping[str, str]
    ) -> Response:
        """Send a long body once.

        Raises:
            OSError: the connection was lost.
            LabqError: what the server refused.
        """
        # A full disk or a large checksum may hold the server up at the end.
        answer = self._once(method, path, headers, pieces, length, 600.0)
        answer.keep()
        return self._checked(answer)

    def away(self, error: Exception) -> UnavailableError:
        """Return the error that says that nobody answers, and what to do."""
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if isinstance(error, TimeoutError):
            reason = "no answer in time"
        return UnavailableError(
            f"no labq server answers at {self.address.url} ({reason})",
            "start one on this machine with `labq up`, or name another with LABQ_SERVER or --server",
        )

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _once(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
        length: int | None,
        timeout: float,
    ) -> Response:
        connection = self._connection
        if connection is None or not connection.reusable or connection.readable():
            self.close()
            connection = self._connection = Connection(self.address)
            self._met = True
        sent = {"User-Agent": "labq", "Accept": "*/*", **headers}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        return connection.request(method, target, sent, body, length, timeout)

    def _checked(self, answer: Response) -> Response:
        if answer.status < 400:
            return answer
        try:
            body = json.loads(answer.read())
        except ValueError:
            # An answer to HEAD has no body; whoever asks again in another way learns more.
            body = {}
        raise from_wire(body if isinstance(body, dict) else {}, answer.status)


def _is_away(answer: Response) -> bool:
    """Return whether an answer says that the server is away for a while; its body stays to be read."""
    if answer.status < 500:
        return False
    if answer.status == 503:
        return True
    # A proxy before a server that starts; or a server of an older labq, whose last word is a bare 500.
    answer.keep()
    return b'"error"' not in answer.peek()
