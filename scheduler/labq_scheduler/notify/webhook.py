"""Notices as HTTP POST of JSON, to an address that a person chose: never into the lab's own network unless allowed."""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import ssl
from urllib.parse import urlsplit

from labq import __version__
from labq_scheduler.notify import plain
from labq_scheduler.notify.channels import Letter, NotSentError

#: Seconds for one answer, and bytes of it that are read.
TIMEOUT, MOST_ANSWER = 10, 65536


class Webhook:
    """Posts to URLs. At least once: the header ``Idempotency-Key`` lets the receiver drop a doubled one."""

    def __init__(self, *, private: bool) -> None:
        """Prepare.

        Args:
            private: addresses of this machine and of private networks are allowed.
        """
        self._private = private

    def place(self, letter: Letter) -> str:
        """Return the URL."""
        return letter.target

    def find(self, letter: Letter, place: str, since: float) -> bool:
        """Return False: nobody can look."""
        return False

    def send(self, letter: Letter, place: str) -> None:
        """Post it; redirections are not followed."""
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
        connection = _Connection(host, port, address, secure)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            answer.read(MOST_ANSWER)
            status, after = answer.status, answer.headers.get("Retry-After", "")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotSentError(f"{host} does not answer ({type(error).__name__})", unsure=True) from None
        finally:
            connection.close()
        if status >= 300:
            # 408 and 429 mean later; other answers from 300 to 499 do not change by themselves.
            later = status in {408, 429} or status >= 500
            wait = float(min(3600, int(after))) if status == 429 and after.isdigit() else None
            raise NotSentError(f"{host} answered {status}", final=not later, after=wait)

    def _address(self, host: str, port: int) -> tuple[str, int]:
        """Return the address to connect to: the one that was checked, whatever the name means a moment later."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise NotSentError(f"there is no address of {host}") from None
        address = str(found[0][4][0])
        if not self._private and not is_public(address):
            raise NotSentError(
                f"{host} is on this machine or in a private network: LABQ_NOTIFY_WEBHOOK_PRIVATE=1 allows that",
                final=True,
            )
        return address, port


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the Internet's: not this machine's, a private or a link's own.

    >>> [is_public(a) for a in ("127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1", "8.8.8.8")]
    [False, False, False, False, True]
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or _nat64(parsed)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return parsed.is_global and not parsed.is_multicast


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address inside one of RFC 6052's well-known prefix."""
    inside = address in ipaddress.IPv6Network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if inside else None


class _Connection(http.client.HTTPConnection):
    """To an address that was checked, under the name that was asked for."""

    def __init__(self, host: str, port: int, address: tuple[str, int], secure: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT)
        self._address, self._secure = address, secure
        if secure:
            self.default_port = 443  # else the Host header names the port

    def connect(self) -> None:
        """Connect, with TLS when the URL says so."""
        self.sock = socket.create_connection(self._address, TIMEOUT)
        if self._secure:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
