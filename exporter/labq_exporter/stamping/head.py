"""The first lines of a request and of a response: read as strictly as HTTP/1.1 allows. Pure.

Whatever could be read in two ways (RFC 9112 §11.2, request smuggling) is refused: the engine must never see a create
where this saw none. No real client sends such things.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

#: Bytes; Go's own limit is 1 MiB. Docker's longest is X-Registry-Config with every credential of a person.
MAX_HEAD = 256 * 1024

_REQUEST = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~\x80-\xff]+) HTTP/1\.([01])")
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: .*)?", re.DOTALL)
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_LENGTH = re.compile(rb"[0-9]{1,18}")


class RefusedError(Exception):
    """What the client sent is not passed on; the connection ends with this answer."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status
        self.what = what


@dataclass(frozen=True, slots=True)
class Head:
    """A request's first lines."""

    method: bytes
    target: bytes
    #: request line and field lines as they came, without line ends
    lines: tuple[bytes, ...]
    #: body length in bytes; None = chunked
    length: int | None
    #: the client waits for "100 Continue" before it sends the body
    expects: bool

    @property
    def creates(self) -> bool:
        """Return whether an engine could take this for the creation of a container.

        Wider than any engine's router on purpose: what is stamped needlessly does no harm.
        """
        if self.method.upper() != b"POST":
            return False
        parts: list[bytes] = []
        for part in unquote_to_bytes(self.target.partition(b"?")[0]).split(b"/"):
            if part == b"..":
                del parts[-1:]
            elif part not in {b"", b"."}:
                parts.append(part)
        return parts[-2:] == [b"containers", b"create"]

    def with_length(self, length: int) -> bytes:
        """Return these lines as bytes for a body of ``length`` that follows at once; other fields as they came."""
        framing = (b"content-length", b"transfer-encoding", b"expect", b"trailer")
        kept = [line for line in self.lines[1:] if line.partition(b":")[0].lower() not in framing]
        return b"\r\n".join([self.lines[0], *kept, b"Content-Length: %d" % length, b"", b""])


def parse_request(raw: bytes) -> Head:
    """Return what the bytes before the empty line say.

    Raises:
        RefusedError: They can be read in more than one way, or not at all.
    """
    first, *rest = raw.split(b"\r\n")
    asked = _REQUEST.fullmatch(first)
    if asked is None:
        raise RefusedError(400, "the request line is not one of HTTP/1.0 or 1.1")
    fields: dict[bytes, bytes] = {}
    for line in rest:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise RefusedError(400, "a header line is malformed or folded")
        name = field[1].lower()
        if name in fields and name in {b"content-length", b"transfer-encoding", b"expect"}:
            raise RefusedError(400, f"the header {name.decode()} is there twice")
        fields[name] = field[2]
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise RefusedError(400, "the body has both a length and a transfer coding")
        if coding.lower() != b"chunked" or asked[3] != b"1":
            raise RefusedError(501, "the only transfer coding is chunked, of HTTP/1.1")
    elif length is not None and not _LENGTH.fullmatch(length):
        raise RefusedError(400, "the content-length is not a number")
    return Head(
        method=asked[1],
        target=asked[2],
        lines=(first, *rest),
        length=None if coding is not None else int(length or b"0"),
        expects=asked[3] == b"1" and fields.get(b"expect", b"").lower() == b"100-continue",
    )


class ResponseHead:
    """Looks at copies of the bytes that an engine sends until it is clear what became of a request."""

    def __init__(self, method: bytes) -> None:
        self._posted = method.upper() == b"POST"
        self._seen = b""

    def feed(self, data: bytes) -> bool | None:
        """Return True when the connection is no longer HTTP/1 from here on, False when it is, None if unknown yet.

        A hijacked stream (attach, exec) is either a 101, or, for a client that did not ask for an upgrade, a success
        of a POST, whose body has no framing (that of a HEAD has none either, and podman then says nothing of it).
        What cannot be understood counts as HTTP: then creates are still looked for.
        """
        self._seen += data
        while (end := self._seen.find(b"\r\n\r\n")) >= 0:
            first, *rest = self._seen[:end].split(b"\r\n")
            status = _STATUS.fullmatch(first)
            if status is None:
                return False
            code = int(status[1])
            if code == 101:
                return True
            if code >= 200:
                framed = any(
                    line.partition(b":")[0].strip().lower() in {b"content-length", b"transfer-encoding"}
                    for line in rest
                )
                return self._posted and code == 200 and not framed
            self._seen = self._seen[end + 4 :]  # 100 Continue and the like: the real one follows
        return False if len(self._seen) > MAX_HEAD else None
