"""What remote agents send: pieces of logs, and outputs; and the outputs with which an attempt begins there."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from labq.clock import now
from labq.errors import BadInputError
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import Agent
from labq_scheduler.api.exchange import from_thread, in_thread, json_answer, lab_of, pieces, whole_number
from labq_scheduler.files.logs import LogAppend
from labq_scheduler.files.outputs import TarReceiver
from labq_scheduler.verbs.sending import earlier, require_log_sender, require_sender

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


@router.get("/v1/agent/begin/{job_id}/{attempt}", openapi_extra=schemas.agent_begin())
async def begin(request: Request, job_id: str, attempt: str, agent: Agent) -> Response:
    """Return a tar of what an attempt's `/outputs` begins with: what the last attempt before it left. 404 when there is nothing; 403 for what is on another node."""
    lab, number = lab_of(request), _attempt(attempt)
    await in_thread(require_sender, lab, agent, job_id, number)
    run, source, size = await in_thread(earlier, lab, job_id, number)
    headers = {"X-Labq-Attempt": str(run)} | ({} if size is None else {"Content-Length": str(size)})
    return StreamingResponse(from_thread(source), headers=headers, media_type="application/x-tar")


@router.put("/v1/agent/outputs/{job_id}/{attempt}", openapi_extra=schemas.agent_outputs())
async def put_outputs(request: Request, job_id: str, attempt: str, agent: Agent) -> Response:
    """Receive the tar of an attempt's outputs, whole; it counts when the last byte has arrived. 403 for what ran on another node."""
    lab, number = lab_of(request), _attempt(attempt)
    target = lab.files.output_tar(job_id, number)
    await in_thread(require_sender, lab, agent, job_id, number)
    expected = whole_number(request, "content-length")
    receiver = await in_thread(TarReceiver, target)
    try:
        async for piece in pieces(request):
            await in_thread(receiver.write, piece)
        size = await in_thread(receiver.finish, expected)
        # The agent sends them again when it hears nothing of this: nobody waits for what is there.
        await in_thread(lab.store.jobs.outputs_arrived, job_id, number, now=now())
    except (ClientDisconnect, asyncio.CancelledError):
        receiver.abort()
        raise
    finally:
        receiver.close()
    return json_answer({"size": size}, 201)


def _attempt(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= 999_999:
        raise BadInputError(f"attempt {text[:100]!r} is not a number from 1 on")
    return int(text)
