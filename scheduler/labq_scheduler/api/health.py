"""Alive, ready, and what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from labq import __version__
from labq.clock import now, rfc3339
from labq.errors import LabqError
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import User
from labq_scheduler.api.exchange import in_thread, json_answer, lab_of
from labq_scheduler.verbs.doctor import findings, has_leader
from labq_scheduler.verbs.lab import Lab

router = APIRouter(tags=["health"])
#: Seconds without a turn after which the deciding loop counts as stuck.
LOOP_STUCK = 30.0


@router.get("/healthz", openapi_extra=schemas.answer("Health", open_to_all=True))
async def healthz() -> Response:
    """Say that the process answers."""
    return json_answer({"ok": True, "version": __version__})


@router.get("/readyz", openapi_extra=schemas.answer("Health", open_to_all=True))
async def readyz(request: Request) -> Response:
    """Say whether requests would succeed: Redis answers, the board is caught up, the disk can be written."""
    body = await in_thread(_ready, lab_of(request), _loop_seen(request))
    return json_answer(body, 200 if body["ok"] else 503)


@router.get("/v1/doctor", openapi_extra=schemas.answer("Finding", many=True))
async def doctor(request: Request, _person: User) -> Response:
    """List what was looked at and what to do about each thing that is wrong."""
    lab = lab_of(request)
    return json_answer(await in_thread(findings, lab, now=now(), loop_seen=_loop_seen(request)))


def _ready(lab: Lab, loop_seen: float | None) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    try:
        lab.store.connection.ping()
        parts["redis"] = True
        parts["board"] = lab.board.wait_caught_up(1.0)
        # Not part of "ok": requests succeed without a leader, only nothing is started.
        parts["leader"] = "there is one" if has_leader(lab) else "nobody decides"
    except LabqError as error:
        parts |= {"redis": False, "board": False, "what": error.what, "next": error.next}
    parts["data_dir"] = os.access(lab.files.contexts, os.W_OK)
    if loop_seen is not None:
        parts["loop"] = now() - loop_seen < LOOP_STUCK
    return {
        "ok": all(value for value in parts.values() if isinstance(value, bool)),
        "now": rfc3339(now()),
        **parts,
    }


def _loop_seen(request: Request) -> float | None:
    seen: Callable[[], float | None] = request.app.state.loop_seen
    return seen()
