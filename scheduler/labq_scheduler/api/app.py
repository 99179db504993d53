"""The application: wiring only."""

from __future__ import annotations

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
    images,
    jobs,
    logs,
    nodes,
    schemas,
    users,
)
from labq_scheduler.api.auth import Doorkeeper
from labq_scheduler.api.docs import PAGE
from labq_scheduler.api.hub import Hub
from labq_scheduler.verbs.lab import Lab


def create_app(lab: Lab, loop_seen: Callable[[], float | None] = lambda: None) -> FastAPI:
    """Return the application over ``lab``.

    Args:
        lab: the parts; its board is started by the caller.
        loop_seen: says when the deciding loop of this process last made a turn; None = it has none.
    """
    hub = Hub(lab.board)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        hub.start()
        yield
        hub.stop()

    app = FastAPI(title="labq", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.lab, app.state.hub, app.state.loop_seen = lab, hub, loop_seen
    app.state.doorkeeper = Doorkeeper(lab.store.people)
    errors.install(app)
    for module in (jobs, logs, nodes, contexts, images, users, agent, health):
        app.include_router(module.router)
    app.add_api_route("/docs", _docs, methods=["GET"], include_in_schema=False)
    _describe(app)
    return app


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
