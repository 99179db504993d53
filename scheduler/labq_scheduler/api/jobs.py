"""Jobs: submit, list, show, wait, cancel, note, rerun."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from labq.clock import monotonic, now, rfc3339
from labq.errors import BadInputError
from labq.job import Job
from labq.states import FINAL
from labq.store import Person
from labq_scheduler.api import schemas, sse
from labq_scheduler.api.auth import User
from labq_scheduler.api.exchange import in_own_turn, in_thread, in_turn, json_answer, lab_of, read_json
from labq_scheduler.api.follow import states
from labq_scheduler.api.hub import Hub
from labq_scheduler.verbs import cancel as cancelling
from labq_scheduler.verbs import check as checking
from labq_scheduler.verbs import keep, listing, note, rerun, show, submit
from labq_scheduler.verbs.lab import Lab

router = APIRouter(tags=["jobs"])

#: Seconds that one request may wait for a job.
MAX_WAIT = 60.0
_MAX_KEY = 200


@router.post("/v1/jobs", openapi_extra=schemas.body("SubmitRequest", "Submitted", 201, key=True))
async def submit_job(request: Request, person: User) -> Response:
    """Submit a job, or an array of jobs, in one step. The owner is whoever the token says."""
    key = _idempotency_key(request)
    return await in_turn(_submit, lab_of(request), person, await read_json(request), key)


def _submit(lab: Lab, person: Person, body: Any, key: str) -> Response:
    new, made = submit.submit(lab, person, submit.parse(body, lab.site), now=now(), key=key)
    return json_answer(made, 201 if new else 200)


@router.post("/v1/jobs:check", openapi_extra=schemas.check())
async def check_job(request: Request, person: User) -> Response:
    """Say whether a job would be accepted, where it could run and when it would start; makes nothing."""
    listing.check_parameters(request.query_params, ("estimate",))
    said = request.query_params.get("estimate", "yes")
    if said not in {"yes", "no"}:
        raise BadInputError(f"estimate {said[:100]!r} is not legal", "write yes or no")
    body = await read_json(request)
    return await in_own_turn(person, _check, lab_of(request), person, body, said == "yes")


def _check(lab: Lab, person: Person, body: Any, estimate: bool) -> Response:
    asked = submit.parse(body, lab.site, asking=True)
    return json_answer(checking.check(lab, person, asked, now=now(), estimate=estimate))


@router.get("/v1/jobs", openapi_extra=schemas.jobs_query())
async def list_jobs(request: Request, person: User) -> Response:
    """List jobs, newest last. The first page has the newest; the cursor leads to older ones."""
    query = dict(request.query_params)
    if len(query.get("limit", "")) > len(
        "999"
    ):  # thousands of rows: seconds of the server for some megabytes
        return await in_own_turn(person, _list, lab_of(request), person, query)
    return await in_thread(_list, lab_of(request), person, query)


def _list(lab: Lab, person: Person, query: dict[str, str]) -> Response:
    at = now()
    page = listing.find_page(lab, listing.parse(query, person, now=at), now=at)
    headers = {"X-Total-Count": str(page.total)}
    if page.cursor:
        headers["X-Next-Cursor"] = page.cursor
    return json_answer([show.view(lab, job, person, full=False) for job in page.jobs], headers=headers)


@router.get("/v1/jobs/{job_id}", openapi_extra=schemas.answer("Job"))
async def show_job(request: Request, job_id: str, person: User) -> Response:
    """Show everything about a job, or the tasks of an array."""
    return json_answer(await in_thread(show.show, lab_of(request), job_id, person))


@router.get("/v1/jobs/{job_id}/why", openapi_extra=schemas.answer("Why"))
async def why_job(request: Request, job_id: str, person: User) -> Response:
    """Say why the job waits, when it is expected to start and what would start sooner; or what it does."""
    return json_answer(await in_own_turn(person, show.why, lab_of(request), job_id))


@router.get("/v1/jobs/{job_id}/events", openapi_extra=schemas.stream("`event: state`, until it is final"))
async def job_events(request: Request, job_id: str, _person: User) -> Response:
    """Stream the job's states as server-sent events: now, and at each change, until it is final."""
    lab = lab_of(request)
    await in_thread(show.find, lab, job_id)
    hub: Hub = request.app.state.hub
    return StreamingResponse(states(lab, hub, job_id), headers=sse.HEADERS, media_type=sse.MEDIA_TYPE)


@router.get("/v1/jobs/{job_id}/wait", openapi_extra=schemas.wait())
async def wait_job(request: Request, job_id: str, person: User) -> Response:
    """Wait until the job has ended (200), or for `timeout` seconds (202, with what it is then)."""
    lab, hub = lab_of(request), request.app.state.hub
    deadline = monotonic() + _timeout(request.query_params.get("timeout", "30"))
    with hub.watch(job_id) as watch:
        job: Job = await in_thread(show.find, lab, job_id)
        while job.state not in FINAL and (left := deadline - monotonic()) > 0 and not hub.closing:
            await watch.wait(min(left, 2.0))
            job = lab.board.get(job_id) or job
            watch.take()
    body = await in_thread(lambda: show.view(lab, show.find(lab, job_id), person))
    return json_answer(body, 200 if body["end_reason"] else 202)


@router.post("/v1/jobs/{job_id}/cancel", openapi_extra=schemas.body("CancelRequest", "Cancelled"))
async def cancel_job(request: Request, job_id: str, person: User) -> Response:
    """Cancel a job, or all jobs of an array. Owner or admin."""
    body = await read_json(request)
    submit.check_keys(body, ("grace",))
    lab = lab_of(request)
    done = await in_thread(cancelling.cancel, lab, person, job_id, now=now(), grace=body.get("grace"))
    return json_answer(done)


@router.post("/v1/jobs/{job_id}/keep", openapi_extra=schemas.body("KeepRequest", "Kept"))
async def keep_job(request: Request, job_id: str, person: User) -> Response:
    """Do not end the job for holding GPUs without using them, for a while. Owner or admin."""
    body = await read_json(request)
    submit.check_keys(body, ("for",))
    job, seconds = await in_thread(keep.keep, lab_of(request), person, job_id, body.get("for"))
    return json_answer({"id": job.id, "until": rfc3339(now() + seconds)})


@router.put("/v1/jobs/{job_id}/note", openapi_extra=schemas.body("NoteRequest", "Job"))
async def note_job(request: Request, job_id: str, person: User) -> Response:
    """Replace the job's note. Owner or admin."""
    body = await read_json(request)
    submit.check_keys(body, ("note",))
    if "note" not in body:
        raise BadInputError("the request has no note", 'send {"note": "…"}')
    lab = lab_of(request)
    job = await in_thread(note.set_note, lab, person, job_id, body["note"], now=now())
    return json_answer(await in_thread(show.view, lab, job, person))


@router.post(
    "/v1/jobs/{job_id}/rerun", openapi_extra=schemas.body("RerunRequest", "Submitted", 201, key=True)
)
async def rerun_job(request: Request, job_id: str, person: User) -> Response:
    """Submit the same spec with the same seed again, with changes if any. Owner or admin."""
    key = _idempotency_key(request)
    return await in_thread(_rerun, lab_of(request), person, job_id, await read_json(request), key)


def _rerun(lab: Lab, person: Person, job_id: str, body: Any, key: str) -> Response:
    wanted = rerun.rerun(lab, person, job_id, body)
    new, made = submit.submit(lab, person, wanted, now=now(), key=key)
    return json_answer(made, 201 if new else 200)


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if len(key) > _MAX_KEY or not key.isprintable():
        raise BadInputError("Idempotency-Key is not legal", f"send at most {_MAX_KEY} printable characters")
    return key


def _timeout(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_WAIT:
        raise BadInputError(f"timeout {text[:100]!r} is not legal", f"write 0 to {MAX_WAIT:g} seconds")
    return seconds
