"""The rules: everybody may read by which they are judged; admins may ask what a file would change."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from labq.clock import now
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import Admin, User
from labq_scheduler.api.exchange import in_own_turn, in_thread, json_answer, lab_of, read_json
from labq_scheduler.verbs import rules as verb

router = APIRouter(tags=["rules"])


@router.get("/v1/rules", openapi_extra=schemas.answer("Rules"))
async def show_rules(request: Request, _person: User) -> Response:
    """Show the rules in force, and where each comes from."""
    return json_answer(await in_thread(lambda: verb.show(lab_of(request), now=now())))


@router.post("/v1/rules:compare", openapi_extra=schemas.body("RulesRequest", "RulesDiff"))
async def compare_rules(request: Request, admin: Admin) -> Response:
    """Say what a file would change; nothing is changed. Admin."""
    body = await read_json(request)
    return json_answer(await in_own_turn(admin, lambda: verb.compare(lab_of(request), body, now=now())))
