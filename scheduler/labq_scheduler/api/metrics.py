"""``/metrics`` for Prometheus: open, or for who knows the scraper's token."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, Request, Response

from labq.clock import now
from labq.errors import NoTokenError
from labq_scheduler.api import schemas
from labq_scheduler.api.exchange import in_thread
from labq_scheduler.metrics.parts import Parts

router = APIRouter(tags=["health"])


@router.get("/metrics", openapi_extra=schemas.metrics())
async def metrics(request: Request) -> Response:
    """Say what Prometheus wants to know; each metric is in docs/reference/metrics.md."""
    _check(request.headers.get("authorization", ""), request.app.state.metrics_token)
    page, kind = await in_thread(_page, request.app.state.parts, request.headers.get("accept", ""))
    return Response(page, media_type=None, headers={"Content-Type": kind})


def _page(parts: Parts, accept: str) -> tuple[bytes, str]:
    from labq_scheduler.metrics.page import render  # 2 MB and 30 ms that a lab without Prometheus saves

    return render(parts.samples(now()), accept)


def _check(header: str, token: str) -> None:
    if not token:
        return
    scheme, _, said = header.partition(" ")
    same = hmac.compare_digest(said.strip().encode("utf-8", "surrogateescape"), token.encode())
    if scheme.lower() != "bearer" or not same:
        raise NoTokenError(
            "/metrics is not open here",
            "let the scraper send LABQ_METRICS_TOKEN of the server: authorization: {credentials_file: …} in Prometheus",
        )
