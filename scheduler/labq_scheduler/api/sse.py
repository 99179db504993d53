"""Server-sent events as bytes. Pure."""

from __future__ import annotations

import base64
from typing import Any

import orjson

from labq.clock import rfc3339
from labq.logfile import Frame
from labq_scheduler.files.logs import STREAM_NAMES

KEEP_ALIVE = b": keep-alive\n\n"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
MEDIA_TYPE = "text/event-stream"


def message(event: str, body: Any, event_id: str = "") -> bytes:
    """Return one event."""
    head = f"event: {event}\nid: {event_id}\ndata: " if event_id else f"event: {event}\ndata: "
    return head.encode() + orjson.dumps(body) + b"\n\n"


def frame_message(event: str, frame: Frame, payload: bytes, event_id: str) -> bytes:
    """Return one piece of a log as an event."""
    body = {
        "stream": STREAM_NAMES.get(frame.stream, "stdout"),
        "t": rfc3339(frame.time_ns / 1e9),
        "b64": base64.b64encode(payload).decode(),
    }
    return message(event, body, event_id)
