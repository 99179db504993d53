"""The wheels that nodes install. Open to all: a wheel is no secret, and a machine that is to join has no token yet."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from labq_scheduler.api import schemas
from labq_scheduler.api.exchange import in_thread, json_answer
from labq_scheduler.files.packages import Packages, package_view

router = APIRouter(tags=["packages"])


@router.get("/v1/packages", openapi_extra=schemas.answer("Package", many=True, open_to_all=True))
async def list_packages(request: Request) -> Response:
    """List the wheels of labq that nodes install from here; they take the last. Open to all."""
    return json_answer([package_view(each) for each in await in_thread(_packages(request).all)])


@router.get("/v1/packages/{file}", openapi_extra=schemas.package())
async def get_package(request: Request, file: str) -> Response:
    """Return a wheel; the ETag is its SHA-256. Open to all."""
    path, package = await in_thread(_packages(request).get, file)
    etag = f'"{package.sha256}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"ETag": etag})
    return FileResponse(path, media_type="application/zip", headers={"ETag": etag})


def _packages(request: Request) -> Packages:
    return cast(Packages, request.app.state.packages)
