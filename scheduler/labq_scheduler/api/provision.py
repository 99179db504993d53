"""Runs of the provisioner: machines made and remade. For admins."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from labq.clock import monotonic, now
from labq.errors import BadInputError
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import Admin
from labq_scheduler.api.exchange import in_thread, json_answer, lab_of, read_json
from labq_scheduler.api.stopping import stopping
from labq_scheduler.verbs import provision as verb

router = APIRouter(tags=["provision"])
#: Seconds: the longest wait of one request, and the pause between two looks during it.
LONGEST, PAUSE = 60, 0.25
#: Runs of one answer, when nothing is said and at most.
USUAL, MOST = 20, 200


@router.post("/v1/provision", openapi_extra=schemas.body("ProvisionRequest", "Run", 201))
async def start_run(request: Request, person: Admin) -> Response:
    """Run a playbook on the lab's machines; with `host`, put that node into the inventory first. Admin."""
    body = await read_json(request)
    return json_answer((await in_thread(verb.start, lab_of(request), person, body, now=now())).view(), 201)


@router.get("/v1/provision", openapi_extra=schemas.runs_query())
async def list_runs(request: Request, _admin: Admin) -> Response:
    """List the last runs, newest last. Admin."""
    limit = min(MOST, _number(request, "limit", USUAL))
    return json_answer(await in_thread(verb.last, lab_of(request), limit))


@router.get("/v1/provision/{run_id}", openapi_extra=schemas.answer("Run"))
async def show_run(request: Request, run_id: str, _admin: Admin) -> Response:
    """Show one run. Admin."""
    return json_answer((await in_thread(lab_of(request).store.provision.get, run_id)).view())


@router.get("/v1/provision/{run_id}/events", openapi_extra=schemas.run_events())
async def run_events(request: Request, run_id: str, _admin: Admin) -> Response:
    """Say what happened since an event; with `wait`, as soon as something does. Admin."""
    after, wait = _number(request, "after", 0), min(LONGEST, _number(request, "wait", 0))
    began = monotonic()
    seen: object = None
    while True:
        found = await in_thread(verb.news, lab_of(request), run_id, after)
        changed = seen is not None and found["run"] != seen
        if found["events"] or found["run"]["ended"] or changed or monotonic() - began >= wait:
            return json_answer(found)
        if request.app.state.hub.closing:
            raise stopping()
        seen = found["run"]
        await asyncio.sleep(PAUSE)


@router.post("/v1/provision/{run_id}/cancel", openapi_extra=schemas.answer("Run"))
async def cancel_run(request: Request, run_id: str, person: Admin) -> Response:
    """Cancel a run: nothing more is begun; what a machine works on goes on there. Admin."""
    return json_answer((await in_thread(verb.cancel, lab_of(request), person, run_id, now=now())).view())


def _number(request: Request, name: str, usual: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInputError(f"{name} {text[:100]!r} is not a whole number", f"write {name}={usual}")
    return int(text)
