"""Live logs and states of a job, over restarts of the server and lost connections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import monotonic, sleep

from labq.client.session import BACKOFF, Session
from labq.client.sse import events
from labq.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labq.client.session import Query

#: Seconds of silence after which the stream is asked for again (the server sends a sign of life more often).
QUIET = 60.0
#: Seconds for which a server that went away is tried again.
PATIENCE = 900.0


class Followed:
    """One piece of news of a job.

    Attributes:
        kind: "log" or "build" (bytes were written), "state" (a change), "end" (the last, with the full view).
        body: the JSON of the event.
        data: the bytes that were written; b"" for "state" and "end".
    """

    __slots__ = ("body", "data", "kind")

    def __init__(self, kind: str, body: Any) -> None:
        self.kind = kind
        self.body = body
        self.data = b""
        if kind in {"log", "build"}:
            from binascii import a2b_base64

            self.data = a2b_base64(body.get("b64", ""))


def follow(session: Session, path: str, query: Query) -> Iterator[Followed]:
    """Yield the news of one stream until its "end"; nothing twice, nothing left out.

    Args:
        session: the server.
        path: ``/v1/jobs/…/logs/follow`` or ``/v1/jobs/…/events``.
        query: where to begin; not used again after a reconnection.

    Raises:
        LabqError: no such job, or the server is away for longer than ``PATIENCE``.
    """
    last_id, tries, met = "", 0, False
    lost = monotonic()
    while True:
        reason: Exception = ConnectionResetError("the stream ended")
        try:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
            answer = session.send(
                "GET", path, query={} if last_id else query, headers=headers, stream=True, timeout=QUIET
            )
            for event in events(answer.read1):
                met, tries, lost = True, 0, monotonic()
                last_id = event.id or last_id
                news = Followed(event.event, json.loads(event.data))
                yield news
                if news.kind == "end":
                    answer.close()
                    return
        except OSError as error:
            reason = error
        except UnavailableError as error:
            if not met:
                raise
            reason = error
        session.close()
        if monotonic() - lost > PATIENCE:
            raise reason if isinstance(reason, UnavailableError) else session.away(reason)
        if tries == 0:
            session.on_away(f"lost the server at {session.address.url}, trying again; the job goes on")
        sleep(BACKOFF[min(tries, len(BACKOFF) - 1)])
        tries += 1
