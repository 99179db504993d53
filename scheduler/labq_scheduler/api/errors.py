"""Every error as the one JSON shape: labq's own, and those of the framework."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from labq.errors import BadInputError, InternalError, LabqError, NotFoundError, TooLargeError

log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Make ``app`` answer every error in labq's shape."""
    app.add_exception_handler(LabqError, _labq)
    app.add_exception_handler(HTTPException, _framework)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


def error_answer(error: LabqError, status: int | None = None) -> Response:
    """Return the answer for ``error``."""
    headers = {}
    if error.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.http_status == 503:
        headers["Retry-After"] = "1"
    elif "retry_after" in error.details:
        headers["Retry-After"] = str(error.details["retry_after"])
    body = orjson.dumps(error.to_wire(), default=str)
    return Response(body, status or error.http_status, headers, "application/json")


async def _labq(request: Request, error: Exception) -> Response:
    assert isinstance(error, LabqError)  # noqa: S101 - registered for it alone
    if isinstance(error, InternalError):
        log.error("%s %s: %s", request.method, request.url.path, error.what)
    return error_answer(error)


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    path = f"{request.method} {request.url.path[:200]}"
    found: LabqError
    match error.status_code:
        case 404:
            found = NotFoundError(f"there is no route {path}", "/docs lists every route of this server")
        case 405:
            found = BadInputError(
                f"{path} is not a method of this route", "/docs lists every route and method"
            )
        case 413:
            found = TooLargeError(f"{path}: the request is too large")
        case _:
            found = BadInputError(f"{path}: {error.detail}", "/docs lists every route of this server")
    answer = error_answer(found, error.status_code)
    if error.headers and "allow" in {name.lower() for name in error.headers}:
        answer.headers["Allow"] = error.headers.get("Allow") or error.headers.get("allow", "")
    return answer


async def _validation(request: Request, error: Exception) -> Response:
    details: Any = error.errors() if isinstance(error, RequestValidationError) else []
    first = details[0] if details else {}
    where = ".".join(str(part) for part in first.get("loc", ()))
    return error_answer(
        BadInputError(f"{where}: {first.get('msg', 'not legal')}", "/docs lists what the route takes")
    )


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _unexpected(request: Request, error: Exception) -> Response:
    # The server's own log has the traceback: starlette raises the error again after this answer.
    return error_answer(
        InternalError(
            f"{request.method} {request.url.path[:200]} failed inside labq ({type(error).__name__})",
            "the server's log has the traceback; please report it",
        )
    )
