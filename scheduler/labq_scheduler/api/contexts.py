"""Build contexts: upload with resume, readiness, download for agents."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.requests import ClientDisconnect

from labq.spec_values import context_digest
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import AgentOrAdmin, User
from labq_scheduler.api.exchange import in_thread, json_answer, lab_of, pieces, whole_number

router = APIRouter(tags=["contexts"])


@router.head("/v1/contexts/{digest}", openapi_extra=schemas.context_head())
async def context_there(request: Request, digest: str, _person: User) -> Response:
    """Say whether the context is there (200), or how much of it was received (404, `X-Received`)."""
    contexts = lab_of(request).contexts
    if await in_thread(contexts.has, digest):
        return Response(status_code=200)
    received = await in_thread(contexts.received, digest)
    return Response(status_code=404, headers={"X-Received": str(received)})


@router.put("/v1/contexts/{digest}", openapi_extra=schemas.context_put())
async def put_context(request: Request, digest: str, _person: User) -> Response:
    """Receive a context's tar, or the rest of it from `X-Offset` on; `X-Total` is the size of the whole."""
    contexts = lab_of(request).contexts
    context_digest(digest)
    offset, total = whole_number(request, "x-offset") or 0, whole_number(request, "x-total")
    if total is None:
        length = whole_number(request, "content-length")
        total = None if length is None else offset + length
    if await in_thread(contexts.has, digest):
        return json_answer({"context": digest, "complete": True}, 201)
    upload = await in_thread(contexts.begin, digest, offset, total)
    try:
        async for piece in pieces(request):
            await in_thread(upload.write, piece)
        complete = await in_thread(upload.finish)
    except ClientDisconnect:
        return Response(status_code=499)  # what came is kept; nobody reads this answer
    finally:
        upload.close()
    body = {"context": digest, "complete": complete, "received": upload.received}
    return json_answer(body, 201 if complete else 202, {"X-Received": str(upload.received)})


@router.get("/v1/contexts/{digest}", openapi_extra=schemas.binary("The tar.", "application/x-tar"))
async def get_context(request: Request, digest: str, _person: AgentOrAdmin) -> Response:
    """Return the tar. Agents and admins: it may hold another's code."""
    path = await in_thread(lab_of(request).contexts.path, digest)
    return FileResponse(path, media_type="application/x-tar")
