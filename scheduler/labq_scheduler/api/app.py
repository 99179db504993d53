"""The application: wiring only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from labq import __version__
from labq_scheduler.api import (
    agent,
    contexts,
    errors,
    health,
    history,
    images,
    jobs,
    join,
    logs,
    metrics,
    nodes,
    notify,
    packages,
    provision,
    rules,
    schemas,
    usage,
    users,
)
from labq_scheduler.api.auth import Doorkeeper
from labq_scheduler.api.docs import PAGE
from labq_scheduler.api.hub import Hub
from labq_scheduler.api.stopping import AnswerWhenCancelled
from labq_scheduler.files.packages import Packages
from labq_scheduler.metrics.counts import JobCounts
from labq_scheduler.metrics.parts import Deciding, Parts
from labq_scheduler.metrics.readings import Readings
from labq_scheduler.verbs.lab import Lab

#: Seconds between two signs of life of the loop that answers requests.
TURN = 2.0


def create_app(
    lab: Lab,
    loop: Deciding | None = None,
    metrics_token: str = "",
    *,
    on_turn: Callable[[], None] = lambda: None,
) -> FastAPI:
    """Return the application over ``lab``.

    Args:
        lab: the parts; its board is started by the caller.
        loop: the deciding loop of this process; None = it has none.
        metrics_token: what whoever reads /metrics must send; "" = nothing.
        on_turn: called every few seconds by the loop that answers requests.
    """
    hub = Hub(lab.board)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        hub.start()
        turning = asyncio.create_task(_turn(on_turn))
        yield
        turning.cancel()
        hub.stop()

    app = FastAPI(title="labq", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.lab, app.state.hub = lab, hub
    app.state.loop_seen = lambda: loop.last_pass if loop else None
    app.state.parts = Parts(lab, JobCounts(lab.board), Readings(lab), loop)
    app.state.metrics_token = metrics_token
    app.state.packages = Packages(lab.site.packages)
    app.state.doorkeeper = Doorkeeper(lab.store.people)
    errors.install(app)
    app.add_middleware(AnswerWhenCancelled)
    for module in (
        jobs, logs, nodes, join, packages, usage, history, rules, notify, provision, contexts, images, users, agent, health, metrics,
    ):  # fmt: skip
        app.include_router(module.router)
    app.add_api_route("/docs", _docs, methods=["GET"], include_in_schema=False)
    _describe(app)
    return app


async def _turn(on_turn: Callable[[], None]) -> None:
    while True:
        on_turn()
        await asyncio.sleep(TURN)


async def _docs() -> HTMLResponse:
    return HTMLResponse(PAGE)


def _describe(app: FastAPI) -> None:
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = make()
            parts = found.setdefault("components", {})
            parts["schemas"] = schemas.components()
            parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            found["security"] = [{"token": []}]
            for methods in found["paths"].values():
                for operation in methods.values():
                    operation["responses"].pop("422", None)  # every error has the one shape, under "default"
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
