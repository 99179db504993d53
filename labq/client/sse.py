"""Server-sent events: bytes in, events out. Pure (the reader is passed in)."""

from __future__ import annotations

from collections.abc import Callable, Iterator


class SseEvent:
    """One event.

    Attributes:
        event: its type; "message" when the server named none.
        data: its data lines joined by line breaks.
        id: the last id that the stream has given, for ``Last-Event-ID``.
    """

    __slots__ = ("data", "event", "id")

    def __init__(self, event: str, data: str, id: str) -> None:  # noqa: A002
        self.event = event
        self.data = data
        self.id = id


def events(read: Callable[[], bytes]) -> Iterator[SseEvent]:
    """Yield the events of a stream until it ends.

    Args:
        read: returns the next bytes, b"" at the end.
    """
    buffer, kind, last_id = b"", "", ""
    data: list[str] = []
    while piece := read():
        buffer += piece
        if b"\n" not in piece:
            continue
        *lines, buffer = buffer.replace(b"\r\n", b"\n").split(b"\n")
        for raw in lines:
            line = raw.decode("utf-8", "replace")
            if not line:
                if data:
                    yield SseEvent(kind or "message", "\n".join(data), last_id)
                kind, data = "", []
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name == "event":
                kind = value
            elif name == "id" and "\0" not in value:
                last_id = value
