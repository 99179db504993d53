"""Notices as HTTP POST of JSON, to an address that a person chose: never into the lab's own network unless allowed."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from labq import __version__
from labq.clock import monotonic
from labq.errors import BadInputError
from labq.notify import Channel
from labq_scheduler.notify import plain
from labq_scheduler.notify.allowed import Allowed
from labq_scheduler.notify.channels import Letter, NotSentError
from labq_scheduler.notify.deadline import cut_after
from labq_scheduler.notify.reach import carried, is_ours, is_public

#: Seconds for the whole exchange, from the connection to the last byte that is read; and bytes of the answer.
DEADLINE, MOST_ANSWER = 10.0, 65536
_PRIVATE = "LABQ_NOTIFY_WEBHOOK_PRIVATE=1 allows that"


class Webhook:
    """Posts to URLs. At least once: the header ``Idempotency-Key`` lets the receiver drop a doubled one."""

    pace = 0.0

    def __init__(
        self, allowed: Allowed, nodes: Callable[[], list[str]] = list, *, deadline: float = DEADLINE
    ) -> None:
        """Prepare.

        Args:
            allowed: ports and networks.
            nodes: returns names or addresses of the lab's machines.
            deadline: seconds for the whole exchange.
        """
        self._allowed, self._nodes, self._deadline = allowed, nodes, deadline

    def place(self, letter: Letter) -> str:
        """Return the URL."""
        return letter.target

    def find(self, letter: Letter, place: str, since: float) -> bool:
        """Return False: nobody can look."""
        return False

    def send(self, letter: Letter, place: str) -> None:
        """Post it; redirections are not followed."""
        try:  # the port is looked at when it is chosen, too; the settings may have changed since
            self._allowed.check(Channel("webhook", place))
        except BadInputError as error:
            raise NotSentError(f"{error.what}: {error.next}", final=True) from None
        parts = urlsplit(place)
        host, secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        address = self._address(host, port)
        body = plain.body(letter.notice.id, letter.news, letter.notice.total, letter.message)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": letter.notice.id,
            "User-Agent": f"labq/{__version__}",
        }
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        status, after = self._post(
            _Connection(host, port, address, secure), path, json.dumps(body).encode(), headers
        )
        if status >= 300:
            # 408 and 429 mean later; other answers from 300 to 499 do not change by themselves.
            later = status in {408, 429} or status >= 500
            wait = float(min(3600, int(after))) if status == 429 and after.isdigit() else None
            raise NotSentError(f"{host} answered {status}", final=not later, after=wait)

    def _post(
        self, connection: _Connection, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, str]:
        """Return the status and the header Retry-After of the answer."""
        end, host = monotonic() + self._deadline, connection.host
        late = None
        try:
            plain_socket = connection.reach(self._deadline)
            with cut_after(plain_socket, end - monotonic()) as late:
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                answer.read(MOST_ANSWER)
            # A status is an answer, even if what follows it was cut.
            return answer.status, answer.headers.get("Retry-After", "")
        except (OSError, http.client.HTTPException, ValueError) as error:
            if late is not None and late.is_set():
                said = f"{host} did not answer within {self._deadline:g} s"
            else:
                said = f"{host} does not answer ({type(error).__name__})"
            raise NotSentError(said, unsure=True) from None
        finally:
            connection.close()

    def _address(self, host: str, port: int) -> tuple[str, int]:
        """Return the address to connect to: the one that was checked, whatever the name means a moment later."""
        found = resolve(host, port)
        if not found:
            raise NotSentError(f"there is no address of {host}")
        address = found[0]
        if any(carried(address) in network for network in self._allowed.webhook_refuse):
            raise NotSentError(f"{host} is in a network of LABQ_NOTIFY_WEBHOOK_REFUSE", final=True)
        if self._allowed.webhook_private:
            return address, port
        if not is_public(address):
            raise NotSentError(f"{host} is on this machine or in a private network: {_PRIVATE}", final=True)
        # A lab may have public addresses: what is open inside of it is not open to its members' requests.
        lab = {
            carried(one) for name in (*self._nodes(), *self._allowed.own_hosts) for one in resolve(name, 0)
        }
        if is_ours(address) or carried(address) in lab:
            raise NotSentError(f"{host} is a machine of this lab: {_PRIVATE}", final=True)
        return address, port


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host; none when it has none."""
    try:
        return [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


class _Connection(http.client.HTTPConnection):
    """To an address that was checked, under the name that was asked for."""

    def __init__(self, host: str, port: int, address: tuple[str, int], secure: bool) -> None:
        super().__init__(host, port, timeout=DEADLINE)
        self._address, self._secure = address, secure
        if secure:
            self.default_port = 443  # else the Host header names the port

    def reach(self, seconds: float) -> socket.socket:
        """Connect within so many seconds, and return the connection; TLS begins with the request."""
        self.sock = socket.create_connection(self._address, seconds)
        return self.sock

    def connect(self) -> None:
        """Never connect by itself: not to another address, not a second time."""
        raise OSError("the connection is gone")

    def request(self, *arguments: Any, **named: Any) -> None:
        """Send a request, with TLS when the URL says so."""
        if self._secure:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
        super().request(*arguments, **named)
