"""Where the body of a request ends. Pure; looks at each byte of a length never, of chunks only between them."""

from __future__ import annotations

import re

from labq_exporter.stamping.head import RefusedError

#: Bytes of one chunk-size or trailer line (Go's limit).
MAX_LINE = 4096
#: Lines of a trailer; real clients send none.
MAX_TRAILERS = 64
_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")


class Body:
    """Consumes the body of one request, in any pieces."""

    def __init__(self, length: int | None) -> None:
        """Begin a body of ``length`` bytes; None = chunked."""
        self._chunked = length is None
        self._left = length or 0
        self._part = "size" if self._chunked else "data"
        self._trailers = 0
        self.done = length == 0

    def consume(self, data: bytes, content: bytearray | None = None) -> int:
        """Return how many bytes of ``data`` belong to the body; the rest is to be shown again, with more behind it.

        Args:
            data: What follows what was consumed before.
            content: Gets the payload, without the framing of chunks.

        Raises:
            RefusedError: The framing is not what RFC 9112 §7.1 says.
        """
        at = 0
        while not self.done and at < len(data):
            if self._part == "data":
                taken = min(self._left, len(data) - at)
                if content is not None and taken:
                    content += data[at : at + taken]
                at += taken
                self._left -= taken
                if self._left == 0:
                    self._part = "gap"
                    self.done = not self._chunked
                continue
            end = data.find(b"\n", at, at + MAX_LINE)
            if end < 0:
                if len(data) - at >= MAX_LINE:
                    raise RefusedError(400, "a line between chunks is too long")
                break
            if end == at or data[end - 1 : end] != b"\r":
                raise RefusedError(400, "a line between chunks does not end with CR LF")
            self._line(data[at : end - 1])
            at = end + 1
        return at

    def _line(self, line: bytes) -> None:
        if self._part == "gap":
            if line:
                raise RefusedError(400, "a chunk is longer than it says")
            self._part = "size"
        elif self._part == "size":
            size = _SIZE.fullmatch(line)
            if size is None:
                raise RefusedError(400, "a chunk does not say its size")
            self._left = int(size[1], 16)
            self._part = "data" if self._left else "trailer"
        elif not line:
            self.done = True
        else:
            self._trailers += 1
            if self._trailers > MAX_TRAILERS or not _TRAILER.fullmatch(line):
                raise RefusedError(400, "the trailer of a body is malformed")
