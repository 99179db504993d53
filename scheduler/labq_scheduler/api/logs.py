"""Logs and outputs of a job: raw, followed, fetched. For its owner and admins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from labq.clock import now
from labq.errors import BadInputError, ConflictError, NotFoundError
from labq.ids import check_job_id
from labq.job import Job
from labq.logfile import STDERR, STDOUT
from labq.states import FINAL
from labq.store import Person
from labq_scheduler.api import schemas, sse
from labq_scheduler.api.auth import User
from labq_scheduler.api.exchange import from_thread, in_thread, lab_of
from labq_scheduler.api.follow import follow, parse_place
from labq_scheduler.files.logs import Selection, read_raw
from labq_scheduler.files.outputs import arriving_since, find_outputs
from labq_scheduler.verbs.images import latest_log
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.listing import since
from labq_scheduler.verbs.show import find, require_owner

router = APIRouter(tags=["logs"])
#: Seconds after an end in which outputs that are not here yet are still awaited from a remote agent.
SHIPPING = 600.0
_STREAMS = {"stdout": STDOUT, "stderr": STDERR, "": None}


@router.get("/v1/jobs/{job_id}/logs", openapi_extra=schemas.logs_query())
async def raw_log(request: Request, job_id: str, person: User) -> Response:
    """Return the bytes that the job wrote, as it wrote them. A job that never ran has its image's build log."""
    lab, selection = lab_of(request), _selection(request, now())
    attempt = _number(request, "attempt")
    job = await in_thread(_own, lab, person, job_id, "read its log")
    path = await in_thread(_log_path, lab, job, attempt)
    kind = "build" if path.parent.name == "images" else "run"
    return StreamingResponse(
        from_thread(read_raw(path, selection)),
        media_type="application/octet-stream",
        headers={"X-Labq-Log": kind},
    )


@router.get("/v1/jobs/{job_id}/logs/follow", openapi_extra=schemas.stream(schemas.FOLLOW))
async def follow_log(request: Request, job_id: str, person: User) -> Response:
    """Stream the job's log and its states as server-sent events until it has ended."""
    lab, selection = lab_of(request), _selection(request, now())
    place = parse_place(request.headers.get("last-event-id", ""))
    await in_thread(_own, lab, person, job_id, "read its log")
    source = follow(lab, request.app.state.hub, person, job_id, place, selection)
    return StreamingResponse(source, headers=sse.HEADERS, media_type=sse.MEDIA_TYPE)


@router.get("/v1/jobs/{job_id}/outputs", openapi_extra=schemas.outputs_query())
async def outputs(request: Request, job_id: str, person: User) -> Response:
    """Return a tar of what the job left in `/outputs`. While it runs on this machine: what is there now."""
    lab, attempt = lab_of(request), _number(request, "attempt")
    job = await in_thread(_own, lab, person, job_id, "fetch its outputs")
    source = await in_thread(_outputs, lab, job, attempt, now())
    name = f'attachment; filename="labq-{job.id}.tar"'
    return StreamingResponse(
        from_thread(source), media_type="application/x-tar", headers={"Content-Disposition": name}
    )


def _own(lab: Lab, person: Person, job_id: str, doing: str) -> Job:
    job = find(lab, check_job_id(job_id))
    require_owner(job, person, doing)
    return job


def _log_path(lab: Lab, job: Job, attempt: int | None) -> Path:
    number = _attempt(job, attempt)
    path = lab.files.log(job.id, number)
    if number == 0:
        return latest_log(lab, job.image_key) or path
    return path


def _outputs(lab: Lab, job: Job, attempt: int | None, at: float) -> Iterator[bytes]:
    if attempt is None and job.started_at is None:
        # Between two attempts, or before the first instruction of the next: what the last one left.
        attempt = next((run.number for run in reversed(job.attempts) if run.started_at is not None), None)
    number = _attempt(job, attempt)
    found = find_outputs(lab.files, job.id, number)
    if found is not None:
        return found
    if job.state not in FINAL and number == job.attempt and job.outputs_due is None:
        before = max((run.number for run in job.attempts if run.started_at is not None), default=0)
        raise ConflictError(
            f"job {job.id} is {job.state} and has no outputs yet",
            f"wait until it has ended: labq wait {job.id}"
            + (f"; what it began with: labq fetch {job.id} --attempt {before}" if before else ""),
        )
    ended = next((run.ended_at for run in job.attempts if run.number == number and run.started_at), 0.0)
    grew = arriving_since(lab.files, job.id, number)
    awaited = at - ended < SHIPPING and not lab.files.output_dir(job.id, number).exists()
    awaited = awaited or job.outputs_due == number
    if awaited or (grew is not None and at - grew < SHIPPING):
        raise ConflictError(
            f"the outputs of job {job.id} are on their way from {job.node or 'its node'}",
            "try again in a moment",
            retry_after=1,
        )
    raise NotFoundError(
        f"job {job.id} left no outputs" + (f" in attempt {number}" if number else ""),
        "a job keeps what it writes into /outputs (its LABQ_OUTPUT_DIR)",
    )


def _attempt(job: Job, wanted: int | None) -> int:
    if wanted is None:
        return job.attempt
    if not 1 <= wanted <= job.attempt:
        raise NotFoundError(
            f"job {job.id} has no attempt {wanted}",
            f"legal: 1 to {job.attempt}" if job.attempt else "it has not started yet",
        )
    return wanted


def _selection(request: Request, at: float) -> Selection:
    query = request.query_params
    stream = query.get("stream", "")
    if stream not in _STREAMS:
        raise BadInputError(f"stream {stream[:100]!r} is not known", "legal: stdout, stderr, or leave it out")
    return Selection(
        tail=_number(request, "tail"),
        since_ns=int(since(query["since"], at) * 1e9) if query.get("since") else 0,
        stream=_STREAMS[stream],
        timestamps=query.get("timestamps", "0") not in {"0", "", "false"},
    )


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise BadInputError(f"{name} {text[:100]!r} is not a whole number", f"write {name}=10")
    return int(text)
