"""The jobs that are over, for replays. Everybody of the lab may ask; others' names are for admins."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from labq.clock import now
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import User
from labq_scheduler.api.exchange import in_own_turn, json_answer, lab_of
from labq_scheduler.verbs import history as verb

router = APIRouter(tags=["usage"])


@router.get("/v1/history", openapi_extra=schemas.history_query())
async def history(request: Request, person: User) -> Response:
    """List the jobs that ran and are over, as a replay needs them (`labq simulate --history`)."""
    at = now()
    begin = verb.parse(dict(request.query_params), now=at)
    return json_answer(await in_own_turn(person, verb.history, lab_of(request), begin, person, now=at))
