"""A machine joins. Nobody's token is needed but the one-time token, which is in the body."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from labq.errors import BadInputError, TooLargeError
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import doorkeeper
from labq_scheduler.api.exchange import in_thread, json_answer, lab_of, read_json
from labq_scheduler.verbs.join import join
from labq_scheduler.verbs.submit import check_keys

router = APIRouter(tags=["nodes"])
#: Bytes. Whoever has no token yet gets no megabytes read.
MOST = 4096


@router.post("/v1/join", openapi_extra=schemas.join())
async def join_lab(request: Request) -> Response:
    """Make a machine that shows its one-time token (`labq-scheduler --node-join`) a node: its own token, and the address of Redis."""
    said = request.headers.get("content-length", "")
    if not said.isdigit() or int(said) > MOST:
        raise TooLargeError("the request says no Content-Length, or more than a join has", f"at most {MOST}")
    body = await read_json(request)
    check_keys(body, ("name", "token"))
    name, token = body.get("name"), body.get("token")
    if not isinstance(name, str) or not isinstance(token, str):
        raise BadInputError("name or token is missing", 'send {"name": "gpu05", "token": "labq-join_…"}')
    lab = lab_of(request)
    found = await in_thread(join, lab.store, name, token, lab.site.redis_url_nodes)
    doorkeeper(request).forget()
    return json_answer(found, 201, {"Cache-Control": "no-store"})
