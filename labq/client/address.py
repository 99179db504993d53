"""Where a server is: ``http://host:port``, ``https://host/prefix``, ``unix:///path/of.sock``. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from labq.errors import BadInputError

_NEXT = (
    "write http://HOST:PORT, https://HOST or unix:///PATH (LABQ_SERVER, --server or the configuration file)"
)
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:,*")


class Address:
    """A server's address, taken apart.

    Attributes:
        url: as it was given, for messages.
        scheme: "http", "https" or "unix".
        host: host name or IP address; the socket's path for "unix".
        port: TCP port; 0 for "unix".
        prefix: path before every route; no slash at its end.
        name: what the Host header says.
    """

    __slots__ = ("host", "name", "port", "prefix", "scheme", "url")

    def __init__(self, url: str) -> None:
        """Read ``url``.

        Raises:
            BadInputError: quoting it.
        """
        self.url = url
        scheme, mark, rest = url.strip().partition("://")
        if not mark:
            scheme, rest = "http", url.strip()
        self.scheme = scheme.lower()
        if self.scheme not in {"http", "https", "unix"} or not rest or any(c.isspace() for c in rest):
            raise BadInputError(f"server {url!r} is not an address", _NEXT)
        if self.scheme == "unix":
            self.host, self.port, self.prefix, self.name = rest, 0, "", "localhost"
            return
        self.name, _, prefix = rest.partition("/")
        self.prefix = "/" + prefix.rstrip("/") if prefix.rstrip("/") else ""
        self.host, self.port = self._split(self.name)

    def _split(self, name: str) -> tuple[str, int]:
        host, colon, port = name.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = name, "443" if self.scheme == "https" else "80"
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        if not host or "@" in host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise BadInputError(f"server {self.url!r} is not an address", _NEXT)
        return host, int(port)


def quote(text: str) -> str:
    """Return ``text`` so that it may stand in a path or a query."""
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in text.encode())


def with_query(path: str, query: Mapping[str, str | int | None]) -> str:
    """Return ``path`` with those items of ``query`` that are not None."""
    items = [f"{key}={quote(str(value))}" for key, value in query.items() if value is not None]
    return f"{path}?{'&'.join(items)}" if items else path
