"""Images: readiness by node, and build logs."""

from __future__ import annotations

from urllib.parse import unquote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from labq.clock import now
from labq_scheduler.api import schemas
from labq_scheduler.api.auth import User
from labq_scheduler.api.exchange import from_thread, in_thread, json_answer, lab_of
from labq_scheduler.files.logs import Selection, read_raw
from labq_scheduler.verbs import images

router = APIRouter(tags=["images"])


@router.get("/v1/images/{key:path}/log", include_in_schema=False)
@router.get("/v1/images/{key:path}", openapi_extra=schemas.answer("Image"))
async def image(request: Request, key: str, person: User) -> Response:
    """Say on which nodes the image is ready; `/v1/images/{key}/log` is the log of its latest preparation.

    The log of a build (`ctx:…`) is for those who have a job with the image. A key with slashes is sent
    percent-encoded, or as it is.
    """
    wanted, log = _wanted(request, key)
    lab = lab_of(request)
    if not log:
        return json_answer(await in_thread(images.show_image, lab, wanted))
    path = await in_thread(images.log_path, lab, wanted, person, now=now())
    return StreamingResponse(from_thread(read_raw(path, Selection())), media_type="application/octet-stream")


def _wanted(request: Request, key: str) -> tuple[str, bool]:
    """Return the key and whether its log is wanted: ``/log`` is a part of a reference when it was quoted."""
    raw = request.scope.get("raw_path", b"").decode("ascii", "replace").partition("?")[0]
    parts = raw.partition("/v1/images/")[2].split("/")
    if len(parts) > 1 and parts[-1] == "log":
        return unquote("/".join(parts[:-1])), True
    return unquote("/".join(parts)) or key, False
