"""Nodes and GPUs: what there is, who holds it; drain and resume."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from labq import __version__
from labq.clock import now
from labq.errors import BadInputError
from labq.wire import fresh_readings, gpu_view, node_view
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import Admin, User, doorkeeper
from labq_scheduler.api.exchange import in_thread, json_answer, lab_of, read_json
from labq_scheduler.verbs import remove
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.submit import check_keys

router = APIRouter(tags=["nodes"])


@router.get("/v1/nodes", openapi_extra=schemas.answer("Node", many=True))
async def list_nodes(request: Request, _person: User) -> Response:
    """List nodes with their GPUs and who holds them."""
    return json_answer(await in_thread(_views, lab_of(request)))


@router.get("/v1/nodes/{name}", openapi_extra=schemas.answer("Node"))
async def show_node(request: Request, name: str, _person: User) -> Response:
    """Show one node."""
    return json_answer(await in_thread(_view, lab_of(request), name))


@router.get("/v1/gpus", openapi_extra=schemas.answer("Gpu", many=True))
async def list_gpus(request: Request, _person: User) -> Response:
    """List every GPU: model, memory, use, who holds it and since when."""
    return json_answer(await in_thread(_gpus, lab_of(request)))


@router.post("/v1/nodes/{name}/drain", openapi_extra=schemas.body("DrainRequest", "Node"))
async def drain_node(request: Request, name: str, person: Admin) -> Response:
    """Place no more jobs on the node; those that run go on. Admin."""
    body = await read_json(request)
    check_keys(body, ("reason",))
    reason = body.get("reason") or f"drained by {person.name}"
    if not isinstance(reason, str) or len(reason) > 500:
        raise BadInputError("reason is no text of at most 500 characters", 'send {"reason": "…"}')
    return json_answer(await in_thread(_set_drained, lab_of(request), name, reason))


@router.post("/v1/nodes/{name}/resume", openapi_extra=schemas.answer("Node"))
async def resume_node(request: Request, name: str, _person: Admin) -> Response:
    """Place jobs on the node again. Admin."""
    return json_answer(await in_thread(_set_drained, lab_of(request), name, ""))


@router.delete("/v1/nodes/{name}", openapi_extra=schemas.answer("Node"))
async def remove_node(request: Request, name: str, _person: Admin) -> Response:
    """Forget a node that is gone: lost or drained, and held by no job. Its agent's tokens are revoked. Admin."""
    seen = await in_thread(remove.remove_node, lab_of(request), name, now=now())
    doorkeeper(request).forget()
    return json_answer(seen)


def _set_drained(lab: Lab, name: str, reason: str) -> dict[str, Any]:
    lab.store.nodes.set_drained(name, reason, now=now())
    return _view(lab, name)


def _views(lab: Lab) -> list[dict[str, Any]]:
    lab.board.require_loaded()
    return [
        node_view(node, read, lab.board.holders(node.name), now(), __version__)
        for node, read in lab.board.nodes()
    ]


def _view(lab: Lab, name: str) -> dict[str, Any]:
    lab.store.nodes.get(name)  # says that there is none
    return next(view for view in _views(lab) if view["name"] == name)


def _gpus(lab: Lab) -> list[dict[str, Any]]:
    lab.board.require_loaded()
    return [
        gpu_view(node, position, fresh_readings(node, readings, now()), lab.board.holders(node.name))
        for node, readings in lab.board.nodes()
        for position in range(len(node.gpus))
    ]
