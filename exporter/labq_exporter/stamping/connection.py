"""One client and its engine: bytes both ways until both are done.

Each direction holds at most one piece, so a slow reader makes its writer wait and nothing grows. The end of what one
side sends is passed on by itself (a container's stdin ends, its output goes on).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import select
import socket

from labq_exporter.stamping.caller import Caller, caller_of
from labq_exporter.stamping.head import RefusedError, ResponseHead
from labq_exporter.stamping.requests import Continue, Create, End, Forward, Requests, Step
from labq_exporter.stamping.stamper import Stamper

log = logging.getLogger(__name__)

#: Bytes read at once. Below malloc's 128 KiB limit, from which each buffer would be an mmap of its own.
PIECE = 64 * 1024
#: Seconds for a request's header, and for the description of a container.
HURRY_S = 30.0
#: Seconds between two looks whether a side that sends no more has gone altogether.
GONE_S = 0.5
#: Seconds for the client to take a refusal.
REFUSAL_S = 2.0
REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
}


def refusal(status: int, what: str) -> bytes:
    """Return an answer in the form in which engines answer, so that clients show its words."""
    body = json.dumps({"message": f"labq-docker-stamp: {what}"}).encode()
    head = f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\nContent-Type: application/json\r\nConnection: close"
    return f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _gone(side: socket.socket) -> bool:
    """Return whether the other end is closed in both directions."""
    watch = select.poll()
    watch.register(side, 0)
    return bool(watch.poll(0))


class Connection:
    """What happens between one client and the engine."""

    def __init__(self, client: socket.socket, engine_path: str, stamper: Stamper) -> None:
        self._client = client
        self._engine_path = engine_path
        self._stamper = stamper
        self._engine: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        self._caller: Caller = caller_of(client)
        self._requests = Requests()
        self._response: ResponseHead | None = None
        self._verdict: asyncio.Future[bool] | None = None

    async def run(self) -> None:
        """Serve until both sides are done, or one is gone."""
        up, back = asyncio.create_task(self._upstream()), asyncio.create_task(self._downstream())
        try:
            await self._supervise(up, back)
        finally:
            for task in (up, back):
                task.cancel()
            await asyncio.gather(up, back, return_exceptions=True)
            self._client.close()
            if self._engine.done() and not self._engine.cancelled():
                self._engine.result().close()

    async def _supervise(self, up: asyncio.Task[None], back: asyncio.Task[None]) -> None:
        pending: set[asyncio.Task[None]] = {up, back}
        while pending:
            # When one side sends no more, it is looked now and then whether it has gone altogether.
            _, pending = await asyncio.wait(
                pending, timeout=None if len(pending) == 2 else GONE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if up.done():
                error = up.exception()
                if isinstance(error, RefusedError):
                    back.cancel()
                    return await self._refuse(error)
                if error is not None and not isinstance(error, OSError):
                    raise error
                # An OSError: the engine takes no more, yet its answer may be under way; or the client was reset.
                if not self._engine.done():
                    return None
            if back.done() and (error := back.exception()) is not None:
                if not isinstance(error, OSError):
                    raise error
                return None
            if up.done() and _gone(self._client):
                return None
            if back.done() and _gone(self._engine.result()):
                return None
        return None

    async def _refuse(self, error: RefusedError) -> None:
        log.debug("refused (uid %d): %s", self._caller.uid, error.what)
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(REFUSAL_S):
                await loop.sock_sendall(self._client, refusal(error.status, error.what))
                self._client.shutdown(socket.SHUT_WR)
                # A client that still sends would get a reset instead of the answer.
                while await loop.sock_recv(self._client, PIECE):
                    pass

    async def _upstream(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if (step := self._requests.next()) is not None:
                await self._do(step)
                continue
            data = await self._from_client(loop)
            if not data:
                break
            await self._decided()
            self._requests.feed(data)
        if self._engine.done():
            self._engine.result().shutdown(socket.SHUT_WR)

    async def _from_client(self, loop: asyncio.AbstractEventLoop) -> bytes:
        if not self._requests.hurried:
            return await loop.sock_recv(self._client, PIECE)
        try:
            async with asyncio.timeout(HURRY_S):
                return await loop.sock_recv(self._client, PIECE)
        except TimeoutError:
            raise RefusedError(408, "the rest of the request did not come") from None

    async def _do(self, step: Step) -> None:
        if isinstance(step, Forward):
            await self._send(step.data, step.method)
        elif isinstance(step, Create):
            request = await asyncio.to_thread(self._stamper.stamp, step, self._caller)
            await self._send(request, step.head.method)
        elif isinstance(step, Continue):
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(self._client, b"HTTP/1.1 100 Continue\r\n\r\n")
        elif isinstance(step, End) and self._requests.leftover:
            await self._decided()

    async def _decided(self) -> None:
        """Wait until the engine has said whether the connection is still HTTP, where a request is complete."""
        if self._verdict is None or self._requests.within:
            return
        while not self._verdict.done():
            # Nothing is read meanwhile, so the client's end would not be noticed otherwise.
            if _gone(self._client):
                raise ConnectionResetError
            await asyncio.wait({self._verdict}, timeout=GONE_S)
        if self._verdict.result():
            self._requests.go_raw()
        self._verdict = None

    async def _send(self, data: bytes, method: bytes) -> None:
        loop = asyncio.get_running_loop()
        if not self._engine.done():
            self._engine.set_result(await self._connect(loop))
        if method:
            self._response, self._verdict = ResponseHead(method), loop.create_future()
        await loop.sock_sendall(self._engine.result(), data)
        await asyncio.sleep(0)  # a socket that is always ready must not keep the loop for itself

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        engine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            async with asyncio.timeout(HURRY_S):
                while True:
                    try:
                        await loop.sock_connect(engine, self._engine_path)
                    except BlockingIOError:
                        await asyncio.sleep(0.01)  # its backlog is full: unix sockets say so at once
                    else:
                        return engine
        except (OSError, TimeoutError) as error:
            engine.close()
            said = getattr(error, "strerror", None) or "it does not answer"
            raise RefusedError(503, f"no engine at {self._engine_path}: {said}") from None
        except asyncio.CancelledError:
            engine.close()
            raise

    async def _downstream(self) -> None:
        loop = asyncio.get_running_loop()
        engine = await self._engine
        try:
            while data := await loop.sock_recv(engine, PIECE):
                if self._response is not None:
                    self._look(self._response, data)
                await loop.sock_sendall(self._client, data)
                await asyncio.sleep(0)
        finally:
            if self._verdict is not None and not self._verdict.done():
                self._verdict.set_result(False)
        self._client.shutdown(socket.SHUT_WR)

    def _look(self, response: ResponseHead, data: bytes) -> None:
        verdict = response.feed(data)
        if verdict is not None and self._verdict is not None and not self._verdict.done():
            self._verdict.set_result(verdict)
            self._response = None
