"""People and tokens; and who one is."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response

from labq.errors import BadInputError, ConflictError, NotFoundError
from labq.node import AGENT_PREFIX
from labq.spec_values import whole
from labq.store import Person
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import Admin, Anybody, doorkeeper
from labq_scheduler.api.exchange import in_thread, json_answer, lab_of, read_json
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.submit import check_keys

router = APIRouter(tags=["users"])
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_.-]{0,31}\Z")
_MAX_ID = 2**32 - 2
_GROUP = re.compile(r"^[A-Za-z0-9_.-]{0,64}\Z")
_SLACK_ID = re.compile(r"^([UW][A-Z0-9]{2,20})?\Z")


@router.get("/v1/me", openapi_extra=schemas.answer("User"))
async def me(person: Anybody) -> Response:
    """Say who the token says."""
    return json_answer(_view(person))


@router.get("/v1/users", openapi_extra=schemas.answer("User", many=True))
async def list_users(request: Request, _admin: Admin) -> Response:
    """List everybody. Admin."""
    return json_answer([_view(person) for person in await in_thread(lab_of(request).store.people.all)])


@router.get("/v1/users/{name}", openapi_extra=schemas.answer("User"))
async def show_user(request: Request, name: str, _admin: Admin) -> Response:
    """Show one person. Admin."""
    return json_answer(_view(await in_thread(_existing, lab_of(request), name)))


@router.put("/v1/users/{name}", openapi_extra=schemas.body("UserRequest", "User"))
async def put_user(request: Request, name: str, _admin: Admin) -> Response:
    """Add or change a person: unix ids of their containers, whether they are an admin, group and Slack id. Admin."""
    body = await read_json(request)
    check_keys(body, ("uid", "gid", "admin", "agent", "group", "slack_id"))
    person = await in_thread(_put, lab_of(request), name, body)
    doorkeeper(request).forget()
    return json_answer(_view(person))


@router.delete("/v1/users/{name}", openapi_extra=schemas.answer("User"))
async def remove_user(request: Request, name: str, admin: Admin) -> Response:
    """Forget a person, all their tokens and what they were to be told; their jobs run on. Admin."""
    if name == admin.name:
        raise ConflictError(f"{name} is who asks", "let another admin do it")
    lab = lab_of(request)
    person = await in_thread(_existing, lab, name)
    await in_thread(lab.store.people.remove, name)
    await in_thread(lab.store.notices.forget_person, name)
    doorkeeper(request).forget()
    return json_answer(_view(person))


@router.post("/v1/users/{name}/tokens", openapi_extra=schemas.answer("Token", 201))
async def new_token(request: Request, name: str, _admin: Admin) -> Response:
    """Make a token of a person. It is shown this once and kept as a digest. Admin."""
    lab = lab_of(request)
    await in_thread(_existing, lab, name)
    token = await in_thread(lab.store.people.new_token, name)
    return json_answer({"name": name, "token": token}, 201, {"Cache-Control": "no-store"})


def _put(lab: Lab, name: str, body: dict[str, Any]) -> Person:
    if not _NAME.match(name):
        raise BadInputError(
            f"name {name[:100]!r} is not legal", "use 1 to 32 letters, digits, _ . - as for a unix user"
        )
    old = lab.store.people.get(name)
    before = asdict(old) if old else {}
    for key in ("uid", "gid"):
        if key not in body and old is None:
            raise BadInputError(f"{key} is missing", 'send {"uid": 1000, "gid": 1000}; `id NAME` shows them')
    flags = {key: body.get(key, before.get(key, False)) for key in ("admin", "agent")}
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise BadInputError(f"{key} {value!r} is neither true nor false")
    if name.startswith(AGENT_PREFIX) and not flags["agent"]:
        raise BadInputError(
            f"name {name!r} is not legal: agents of nodes are called {AGENT_PREFIX}NODE", "use another name"
        )
    uid, gid = (whole(body.get(key, before.get(key)), 0, _MAX_ID, key) for key in ("uid", "gid"))
    group = body.get("group", before.get("group", ""))
    if not isinstance(group, str) or not _GROUP.match(group):
        raise BadInputError(
            f"group {str(group)[:100]!r} is not legal", "use at most 64 letters, digits, _ . -, or nothing"
        )
    slack_id = body.get("slack_id", before.get("slack_id", ""))
    if not isinstance(slack_id, str) or not _SLACK_ID.match(slack_id):
        raise BadInputError(
            f"slack_id {str(slack_id)[:100]!r} is not legal",
            "write a member id like U012AB3CD (in Slack: profile, ⋮, copy member ID), or nothing",
        )
    person = Person(name, uid, gid, flags["admin"], flags["agent"], group, slack_id)
    lab.store.people.put(person)
    return person


def _existing(lab: Lab, name: str) -> Person:
    person = lab.store.people.get(name)
    if person is None:
        raise NotFoundError(f"there is no user {name[:100]!r}", "GET /v1/users lists everybody")
    return person


def _view(person: Person) -> dict[str, Any]:
    return asdict(person)
