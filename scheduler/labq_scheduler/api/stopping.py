"""Requests that the server's end cuts short are answered: 503, in labq's shape, so that they are sent again.

uvicorn cancels what is still open some time after the signal; whoever waits would read a bare 500 then.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labq.errors import UnavailableError
from labq_scheduler.api.errors import error_answer


def stopping() -> UnavailableError:
    """Return what a server that stops says."""
    return UnavailableError("this server stops, perhaps to start anew", "try again in a moment")


class AnswerWhenCancelled:
    """Middleware: a request that is cancelled before its answer began is answered all the same."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        began = False

        async def note(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note)
        except asyncio.CancelledError:
            if scope["type"] != "http" or began:
                raise
            # The task ends here, as its canceller wants; sending waits for nobody.
            await error_answer(stopping())(scope, receive, send)
