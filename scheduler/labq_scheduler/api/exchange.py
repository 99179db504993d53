"""Bodies in, threads between, JSON bytes out.

Requests run their blocking part (Redis, disks) in a pool of threads of our own: a Redis that does not answer
must not stop the event loop, on which everybody's live logs run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast
from weakref import WeakValueDictionary

import orjson
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from labq.errors import BadInputError, TooLargeError
from labq.store import Person
from labq_scheduler.verbs.lab import Lab

P = ParamSpec("P")
T = TypeVar("T")

#: A command line has at most 128 KiB, variables and secrets a few: more is a mistake.
MAX_BODY = 8 * 2**20
#: Bytes that are written or hashed at once.
PIECE = 2**20
_POOL = ThreadPoolExecutor(24, thread_name_prefix="request")
#: Submissions come in bursts; more threads than this only fight for the interpreter (measured: 620/s with 3,
#: 540/s with 24, eight clients on two cores).
_WRITERS = ThreadPoolExecutor(3, thread_name_prefix="submit")

#: What thinks for seconds or holds 200 MB (50,000 jobs that are over): few at once, and one at a time for each person.
_THINKERS = ThreadPoolExecutor(3, thread_name_prefix="think")
_TURNS: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


def lab_of(request: Request) -> Lab:
    """Return the parts that the application was made with."""
    return cast(Lab, request.app.state.lab)


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in the pool and return what it returns."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, partial(function, *args, **kwargs))


async def in_turn(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a short blocking function that many call at once in the small pool."""
    return await asyncio.get_running_loop().run_in_executor(_WRITERS, partial(function, *args, **kwargs))


async def in_own_turn(person: Person, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that takes long after what the same person asked before: who asks a hundred times waits for themselves."""
    turn = _TURNS.setdefault(person.name, asyncio.Lock())
    async with turn:
        return await asyncio.get_running_loop().run_in_executor(_THINKERS, partial(function, *args, **kwargs))


async def read_json(request: Request) -> Any:
    """Return the JSON body; an empty body is an empty object.

    Raises:
        TooLargeError: over 8 MiB.
        BadInputError: no JSON.
    """
    said = request.headers.get("content-length", "0")
    if said.isdigit() and int(said) > MAX_BODY:
        raise TooLargeError(f"the body has {said} bytes", f"at most {MAX_BODY}")
    parts, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > MAX_BODY:
            raise TooLargeError("the body is too long", f"at most {MAX_BODY} bytes")
        parts.append(piece)
    data = b"".join(parts)
    if not data:
        return {}
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadInputError(f"the body is not JSON: {error}", "send a JSON object in UTF-8") from None


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with ``body`` as JSON."""
    return Response(orjson.dumps(body), status, headers, "application/json")


def whole_number(request: Request, header: str) -> int | None:
    """Return a header's number; None when it is not sent.

    Raises:
        BadInputError: it is no number.
    """
    text = request.headers.get(header)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadInputError(f"header {header}: {text[:100]!r} is not a number of bytes")
    return int(text)


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in pieces of about 1 MiB; what came before a lost connection is yielded too.

    Raises:
        ClientDisconnect: after the last piece, when the client went away before the end.
    """
    buffer = bytearray()
    try:
        async for piece in request.stream():
            buffer += piece
            if len(buffer) >= PIECE:
                yield bytes(buffer)
                buffer.clear()
    except ClientDisconnect:
        if buffer:
            yield bytes(buffer)
        raise
    if buffer:
        yield bytes(buffer)


async def from_thread(source: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield what a blocking iterator yields, each piece made in the pool."""
    try:
        while (piece := await in_thread(next, source, None)) is not None:
            yield piece
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            await in_thread(close)
