"""One HTTP answer, read as it arrives: content-length, chunked, or until the connection ends."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labq.client.connection import Connection

PIECE = 262_144


class NotHttpError(OSError):
    """What came back is not HTTP."""


class Response:
    """An answer; its body is read as it arrives. Usable as a file by ``tarfile``."""

    def __init__(self, wire: Connection, method: str) -> None:
        """Read the head (skipping 1xx) from ``wire``."""
        self._wire = wire
        self.status = 100
        while self.status < 200:
            self._read_head()
        self.headers.setdefault("content-type", "")
        self._chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        length = self.headers.get("content-length")
        #: bytes left of the body or of the present chunk; None = until the connection ends
        self._left: int | None = None
        if method == "HEAD" or self.status in {204, 304}:
            self._left, self._chunked = 0, False
        elif self._chunked:
            self._left = 0
        elif length is not None:
            self._left = _number(length, 10)
        #: whether the server lets the connection be used again, once the body has been read
        self._keeps_alive = self.headers.get("connection", "").lower() != "close" and self._left is not None
        self._spare = b""
        self._at_end = False
        if self._left == 0 and not self._chunked:
            self._end()

    def _read_head(self) -> None:
        words = self._wire.line().split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1."):
            raise NotHttpError("the answer does not begin with HTTP/1")
        self.status = _number(words[1].decode("latin-1"), 10)
        self.headers: dict[str, str] = {}
        while line := self._wire.line():
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise NotHttpError(f"the answer has a broken header: {line[:80]!r}")
            self.headers[name.strip().lower()] = value.strip()

    def read1(self, most: int = PIECE) -> bytes:
        """Return what has arrived (waiting for at least one byte), or b"" at the end.

        Raises:
            ConnectionError: it ended too early.
        """
        if self._at_end:
            return b""
        if self._chunked and self._left == 0:
            self._left = _number(self._wire.line().split(b";")[0].decode("latin-1"), 16)
            if self._left == 0:
                while self._wire.line():
                    pass
                self._end()
                return b""
        piece = self._wire.some(most if self._left is None else min(most, self._left))
        if self._left is None:
            self._at_end = not piece
            return piece
        if not piece:
            raise ConnectionResetError("the connection ended in the middle of an answer")
        self._left -= len(piece)
        if self._left == 0:
            if self._chunked:
                self._wire.line()
            else:
                self._end()
        return piece

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes of the body, fewer only at its end; all that is left when negative."""
        parts, have = [self._spare], len(self._spare)
        while (size < 0 or have < size) and (piece := self.read1()):
            parts.append(piece)
            have += len(piece)
        whole = b"".join(parts)
        if size < 0:
            size = len(whole)
        self._spare = whole[size:]
        return whole[:size]

    def keep(self) -> None:
        """Read the body now; ``read`` returns it later."""
        self._spare = self.read()

    def peek(self) -> bytes:
        """Return what ``keep`` has read; it stays to be read."""
        return self._spare

    def _end(self) -> None:
        self._at_end = True
        self._wire.reusable = self._keeps_alive and not self._wire.spoilt

    def close(self) -> None:
        """Give up the rest; the connection cannot be used again unless the body was read."""
        if not self._at_end:
            self._wire.close()


def _number(text: str, base: int) -> int:
    try:
        value = int(text.strip(), base)
    except ValueError:
        value = -1
    if value < 0:
        raise NotHttpError(f"the answer has {text[:40]!r} where a number belongs")
    return value
