"""What one wants to be told, and dead letters."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from labq.clock import now
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import User
from labq_scheduler.api.exchange import in_thread, json_answer, lab_of, read_json
from labq_scheduler.verbs import notify as verb

router = APIRouter(tags=["notify"])


@router.get("/v1/me/notify", openapi_extra=schemas.answer("Notify"))
async def show_notify(request: Request, person: User) -> Response:
    """Say what you want to be told, where, and whether that reaches you."""
    return json_answer(await in_thread(verb.show, lab_of(request), person))


@router.put("/v1/me/notify", openapi_extra=schemas.body("NotifyRequest", "Notify"))
async def change_notify(request: Request, person: User) -> Response:
    """Change what you want to be told; what is not named stays, null = back to the default."""
    return json_answer(await in_thread(verb.change, lab_of(request), person, await read_json(request)))


@router.post("/v1/me/notify/test", openapi_extra=schemas.answer("NotifyTest"))
async def test_notify(request: Request, person: User) -> Response:
    """Send yourself a notice that says nothing."""
    return json_answer(await in_thread(verb.test, lab_of(request), person, now=now()))


@router.get("/v1/notify/dead", openapi_extra=schemas.answer("DeadLetter", many=True))
async def dead_letters(request: Request, person: User) -> Response:
    """List the notices that could not be sent to you; to anybody if you are an admin."""
    return json_answer(await in_thread(verb.dead, lab_of(request), person))


@router.delete("/v1/notify/dead", openapi_extra=schemas.answer("Forgotten"))
async def forget_dead_letters(request: Request, person: User) -> Response:
    """Forget all dead letters of yours; of everybody if you are an admin."""
    return json_answer(await in_thread(verb.forget_all, lab_of(request), person))


@router.delete("/v1/notify/dead/{notice_id}", openapi_extra=schemas.answer("DeadLetter"))
async def forget_dead_letter(request: Request, notice_id: str, person: User) -> Response:
    """Forget a dead letter of yours; any if you are an admin."""
    return json_answer(await in_thread(verb.forget, lab_of(request), person, notice_id))


@router.post("/v1/notify/dead/{notice_id}/retry", openapi_extra=schemas.answer("DeadLetter"))
async def retry_dead_letter(request: Request, notice_id: str, person: User) -> Response:
    """Send a dead letter of yours again; any if you are an admin."""
    return json_answer(await in_thread(verb.retry, lab_of(request), person, notice_id, now=now()))
