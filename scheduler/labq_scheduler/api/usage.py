"""Who used how many GPU-hours. Everybody of the lab may see it: the machines are everybody's."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from labq.clock import now
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import User
from labq_scheduler.api.exchange import in_thread, json_answer, lab_of
from labq_scheduler.verbs import usage as verb

router = APIRouter(tags=["usage"])


@router.get("/v1/usage", openapi_extra=schemas.usage_query())
async def usage(request: Request, _person: User) -> Response:
    """Sum up GPU-hours by person, group or node: allocated and truly busy, inside and outside the queue."""
    at = now()
    question = verb.parse(dict(request.query_params), now=at)
    return json_answer(await in_thread(verb.usage, lab_of(request), question, now=at))
