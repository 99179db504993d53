"""What remote agents send: pieces of logs, and outputs."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from labq.errors import BadInputError
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import Agent
from labq_scheduler.api.exchange import in_thread, json_answer, lab_of, pieces, whole_number
from labq_scheduler.files.logs import LogAppend
from labq_scheduler.files.outputs import TarReceiver
from labq_scheduler.verbs.sending import require_log_sender, require_sender

router = APIRouter(tags=["agent"])


@router.put("/v1/agent/logs/{path:path}", openapi_extra=schemas.agent_log())
async def append_log(request: Request, path: str, agent: Agent) -> Response:
    """Append frames to a log file at `X-Offset`; 409 with `details.size` when the file does not end there. 403 for what ran on another node."""
    target = lab_of(request).files.sent_log(path)
    await in_thread(require_log_sender, lab_of(request), agent, path)
    offset = whole_number(request, "x-offset")
    if offset is None:
        raise BadInputError("the request has no X-Offset", "send the size that the file should have now")
    append = await in_thread(LogAppend, target, offset)
    try:
        async for piece in pieces(request):
            await in_thread(append.write, piece)
        return json_answer({"size": append.size})
    finally:
        append.close()


@router.put("/v1/agent/outputs/{job_id}/{attempt}", openapi_extra=schemas.agent_outputs())
async def put_outputs(request: Request, job_id: str, attempt: str, agent: Agent) -> Response:
    """Receive the tar of an attempt's outputs, whole; it counts when the last byte has arrived. 403 for what ran on another node."""
    if not (attempt.isascii() and attempt.isdigit()) or not 1 <= int(attempt[:9]) <= 999_999:
        raise BadInputError(f"attempt {attempt[:100]!r} is not a number from 1 on")
    target = lab_of(request).files.output_tar(job_id, int(attempt))
    await in_thread(require_sender, lab_of(request), agent, job_id, int(attempt))
    expected = whole_number(request, "content-length")
    receiver = await in_thread(TarReceiver, target)
    try:
        async for piece in pieces(request):
            await in_thread(receiver.write, piece)
        size = await in_thread(receiver.finish, expected)
    except (ClientDisconnect, asyncio.CancelledError):
        receiver.abort()
        raise
    finally:
        receiver.close()
    return json_answer({"size": size}, 201)
