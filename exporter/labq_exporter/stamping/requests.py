"""What a client sends -> what to do with it, one step at a time. Pure: no sockets, no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass

from labq_exporter.stamping.body import Body
from labq_exporter.stamping.head import MAX_HEAD, Head, RefusedError, parse_request

#: Bytes of a create's JSON; real ones have a few kilobytes, and each is held in memory.
MAX_CREATE = 16 * 1024 * 1024
#: With this a client that knows beforehand speaks HTTP/2 (RFC 9113 §3.4).
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_BARE_LF = re.compile(rb"(?<!\r)\n")


@dataclass(frozen=True, slots=True)
class Forward:
    """Pass these bytes on as they are."""

    data: bytes
    #: method of the request that begins with them: what the engine says next is its response; "" = none begins
    method: bytes = b""


@dataclass(frozen=True, slots=True)
class Create:
    """A container is to be created."""

    head: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class Continue:
    """The client waits for "100 Continue" before it sends the body of a create."""


@dataclass(frozen=True, slots=True)
class End:
    """The request is complete; show nothing more before it is known whether the connection is still HTTP."""


Step = Forward | Create | Continue | End


class Requests:
    """The requests of one connection."""

    def __init__(self) -> None:
        self._pending = b""
        self._searched = 0
        self._first = True
        self._raw = False
        self._head: Head | None = None
        self._body: Body | None = None
        self._content: bytearray | None = None

    @property
    def hurried(self) -> bool:
        """Return whether this holds back what the client began: it must not take for ever."""
        return self._content is not None or (self._body is None and len(self._pending) > 0)

    @property
    def within(self) -> bool:
        """Return whether the body of a request is not complete yet."""
        return self._body is not None

    @property
    def leftover(self) -> bool:
        """Return whether bytes behind the last step wait."""
        return len(self._pending) > 0

    def go_raw(self) -> None:
        """From here on it is not HTTP/1: pass everything on."""
        self._raw = True

    def feed(self, data: bytes) -> None:
        """Take what the client sent."""
        self._pending = self._pending + data if self._pending else data

    def next(self) -> Step | None:
        """Return the next thing to do, or None when more bytes are needed.

        Raises:
            RefusedError: This cannot be passed on, nor anything behind it.
        """
        if not self._pending and not (self._body and self._body.done):
            return None
        if self._raw:
            return self._forward(len(self._pending))
        if self._body is None:
            return self._read_head()
        return self._read_body(self._body)

    def _forward(self, size: int, method: bytes = b"") -> Forward:
        data, self._pending = self._pending[:size], self._pending[size:]  # no copy of what is taken whole
        return Forward(data, method)

    def _read_head(self) -> Step | None:
        if self._first and self._pending.startswith(H2_PREFACE[: len(self._pending)]):
            if len(self._pending) < len(H2_PREFACE):
                return None
            self._raw = True
            return self._forward(len(self._pending))
        end = self._pending.find(b"\r\n\r\n", max(0, self._searched - 3))
        bare = _BARE_LF.search(self._pending, max(0, self._searched - 1), end if end >= 0 else MAX_HEAD)
        if bare:
            raise RefusedError(400, "a header line does not end with CR LF")
        if end > MAX_HEAD or (end < 0 and len(self._pending) > MAX_HEAD):
            raise RefusedError(431, f"the header is longer than {MAX_HEAD} bytes")
        if end < 0:
            self._searched = len(self._pending)
            return None
        self._searched, self._first = 0, False
        head = parse_request(self._pending[:end])
        self._head, self._body = head, Body(head.length)
        if not head.creates:
            return self._forward(end + 4, head.method)
        if (head.length or 0) > MAX_CREATE:
            raise RefusedError(413, f"the description of a container is longer than {MAX_CREATE} bytes")
        self._pending, self._content = self._pending[end + 4 :], bytearray()
        if head.expects and not self._pending and not self._body.done:
            return Continue()
        return self.next()

    def _read_body(self, body: Body) -> Step | None:
        if body.done:
            self._body = None
            if self._content is not None and self._head is not None:
                content, self._content = bytes(self._content), None
                # Its End is the next step: the body of zero bytes that this leaves is done already.
                self._body, create = Body(0), Create(self._head, content)
                return create
            return End()
        size = body.consume(self._pending, self._content)
        if self._content is None:
            return self._forward(size) if size else None
        self._pending = self._pending[size:]
        if len(self._content) > MAX_CREATE:
            raise RefusedError(413, f"the description of a container is longer than {MAX_CREATE} bytes")
        return self.next() if body.done else None
