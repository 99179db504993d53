"""What OpenAPI shows. Requests are checked by labq's own parsers; this describes them.

``tests/contract/scheduler_api`` compares each view with what the server answers.
"""

from __future__ import annotations

from typing import Any

from labq.spec import json_schema
from labq.states import JobState

Schema = dict[str, Any]

FOLLOW = (
    "`event: log` and `event: build`: `{stream, t, b64}` with ids that `Last-Event-ID` resumes from; "
    "`event: state`; at last `event: end` with the job"
)


def components() -> dict[str, Schema]:
    """Return every named schema."""
    return {
        "Spec": json_schema(),
        "Error": _object(
            "Every error has this shape.",
            error=_object(
                "What happened, and what to do next.",
                code=_text("stable: bad_input, impossible, not_allowed, no_token, not_found, conflict, …"),
                what=_text("one sentence that quotes the input"),
                next=_text("what is legal, or what to do now"),
                details={"type": "object", "description": "facts for programs"},
            ),
        ),
        "SubmitRequest": _object(
            "A job to be made.",
            spec=_ref("Spec"),
            array=_text("indices of an array: 0-9, 1,5,7 or 0-100:10"),
            secrets={"type": "object", "additionalProperties": {"type": "string"}, "description": "by name"},
        ),
        "RerunRequest": _object(
            "Changes to the old spec; null = back to the default.",
            changes={"type": "object"},
            array=_text("indices"),
            secrets={"type": "object", "additionalProperties": {"type": "string"}},
        ),
        "CancelRequest": _object("", grace=_text("time between SIGTERM and SIGKILL, such as 10s")),
        "KeepRequest": _object("", **{"for": _text("a duration, such as 4h, at most 7d")}),
        "Kept": _object("", id=_TEXT, until=_TIME),
        "NoteRequest": _object("", note=_text("up to 4,000 characters")),
        "DrainRequest": _object("", reason=_text("why, for people")),
        "UserRequest": _object("", uid=_INT, gid=_INT, admin=_BOOL, agent=_BOOL, group=_TEXT, slack_id=_TEXT),
        "NotifyRequest": _object("What is not named stays; null = the default.", **_NOTIFY),
        "Notify": _object("What you are told.", **_NOTIFY, problem=_maybe(_TEXT), waiting=_INT),
        "NotifyTest": _object("", id=_TEXT, channel=_TEXT),
        "DeadLetter": _object("A notice that could not be sent.", **_DEAD_LETTER),
        "Submitted": _object(
            "What was made.",
            id=_text("of the job or the array"),
            state=_text("queued"),
            name=_TEXT,
            owner=_text("whoever the token says"),
            warnings=_list(_TEXT),
            jobs=_list(_object("", id=_TEXT, state=_TEXT)),
        ),
        "Checked": _object("", why=_maybe(_TEXT), fits=_list(_TEXT), warnings=_list(_TEXT)),
        "Cancelled": _object("", cancelled=_list(_TEXT), stopping=_list(_TEXT), already=_list(_TEXT)),
        "Why": _object("", id=_TEXT, state=_STATE, why=_text("one sentence")),
        "JobShort": _object("A job in a list.", **_JOB_SHORT),
        "Job": _object("A job with its spec and attempts.", **_JOB_SHORT, **_JOB_MORE),
        "Attempt": _object(
            "One run that is over.",
            number=_INT,
            node=_TEXT,
            gpus=_list(_TEXT),
            started_at=_maybe(_TIME),
            ended_at=_TIME,
            exit_code=_maybe(_INT),
            end_reason=_TEXT,
            verdict=_TEXT,
        ),
        "Node": _object("A machine that runs jobs.", **_NODE),
        "Gpu": _object("One GPU and who holds it.", **_GPU),
        "Image": _object(
            "", key=_TEXT, nodes={"type": "object", "description": "by node: state, at, error, …"}
        ),
        "User": _object(
            "", name=_TEXT, uid=_INT, gid=_INT, admin=_BOOL, agent=_BOOL, group=_TEXT, slack_id=_TEXT
        ),
        "Usage": _object(
            "Who used how much in a window; hours of GPUs.",
            by=_TEXT,
            since=_TIME,
            until=_TIME,
            rows=_list(_ref("UsageRow")),
            total=_ref("UsageRow"),
        ),
        "UsageRow": _object("One person, group or node; null = not known.", **_USAGE_ROW),
        "Token": _object("", name=_TEXT, token=_text("shown once")),
        "Health": _object("", ok=_BOOL),
        "Finding": _object("", name=_TEXT, ok=_BOOL, what=_TEXT, next=_TEXT),
    }


def answer(name: str, status: int = 200, *, many: bool = False, open_to_all: bool = False) -> Schema:
    """Return the OpenAPI part of a route that answers ``name``."""
    schema = _list(_ref(name)) if many else _ref(name)
    found: Schema = {"responses": {str(status): _json(schema, name), **_ERRORS}}
    if status != 200:
        found["responses"]["200"] = {"description": "not used"}
    if open_to_all:
        found["security"] = []
    return found


def body(request: str, response: str, status: int = 200, *, key: bool = False) -> Schema:
    """Return the OpenAPI part of a route with a JSON body."""
    found: Schema = {"responses": {str(status): _json(_ref(response), response), **_ERRORS}}
    if key:
        found["responses"]["200"] = _json(_ref(response), "the same Idempotency-Key had made it before")
        found["parameters"] = [
            _header("Idempotency-Key", "a retried request with the same key makes one job")
        ]
    return found | {"requestBody": {"content": {"application/json": {"schema": _ref(request)}}}}


def jobs_query() -> Schema:
    """Return the OpenAPI part of the list of jobs."""
    rows = {
        "owner": "a name, or * for everybody; yours by default",
        "state": "states, or active, ended, all; by default active and ended in the last 24 h",
        "tag": "only jobs with this tag",
        "name": "only jobs of this name",
        "since": "active, or ended since then: 2h, or RFC 3339",
        "array": "only tasks of this array",
        "limit": "at most so many, 200 by default, at most 10000",
        "cursor": "X-Next-Cursor of the page before: go on with older jobs",
    }
    found = answer("JobShort", many=True)
    found["parameters"] = [_query(name, text) for name, text in rows.items()]
    return found


def logs_query() -> Schema:
    """Return the OpenAPI part of the raw log."""
    rows = {
        "attempt": "the last by default",
        "tail": "the last so many lines",
        "since": "10m, or RFC 3339",
        "timestamps": "1 = the time before each line",
        "stream": "stdout or stderr",
    }
    found = binary("The bytes as they were written.")
    found["parameters"] = [_query(name, text) for name, text in rows.items()]
    return found


def outputs_query() -> Schema:
    """Return the OpenAPI part of the outputs."""
    found = binary("A tar with names relative to /outputs.", "application/x-tar")
    found["parameters"] = [_query("attempt", "the last by default")]
    return found


def wait() -> Schema:
    """Return the OpenAPI part of the long poll."""
    found = answer("Job")
    found["responses"]["202"] = _json(_ref("Job"), "it has not ended yet")
    found["parameters"] = [_query("timeout", "seconds, at most 60")]
    return found


def stream(what: str) -> Schema:
    """Return the OpenAPI part of a stream of server-sent events."""
    return binary(f"Server-sent events: {what}.", "text/event-stream")


def binary(what: str, media: str = "application/octet-stream") -> Schema:
    """Return the OpenAPI part of a route that answers bytes."""
    return {"responses": {"200": {"description": what, "content": {media: {}}}, **_ERRORS}}


def metrics() -> Schema:
    """Return the OpenAPI part of the page for Prometheus."""
    return binary("The text format of Prometheus, or OpenMetrics.", "text/plain") | {"security": []}


def usage_query() -> Schema:
    """Return the OpenAPI part of the question who used how much."""
    rows = {
        "by": "user (default), group or node",
        "since": "7d (default), or RFC 3339",
        "until": "now (default), a duration ago, or RFC 3339",
        "user": "only this person's use",
    }
    found = answer("Usage")
    found["parameters"] = [_query(name, text) for name, text in rows.items()]
    return found


def context_head() -> Schema:
    """Return the OpenAPI part of the question whether a context is there."""
    return {
        "responses": {
            "200": {"description": "complete and checked"},
            "404": {"description": "not complete; X-Received says how many bytes are kept"},
        }
    }


def context_put() -> Schema:
    """Return the OpenAPI part of an upload."""
    answers = {
        "201": "complete and checked",
        "202": "kept, more must come",
        "409": "wrong offset, or being sent",
    }
    return {
        "parameters": [
            _header("X-Offset", "append at this byte (= X-Received); 0 begins anew"),
            _header("X-Total", "bytes of the whole"),
        ],
        "requestBody": {"content": {"application/x-tar": {}}},
        "responses": {**{code: {"description": text} for code, text in answers.items()}, **_ERRORS},
    }


def agent_log() -> Schema:
    """Return the OpenAPI part of an agent's piece of a log."""
    return {
        "parameters": [_header("X-Offset", "the size that the file has now")],
        "requestBody": {"content": {"application/octet-stream": {}}},
        "responses": {
            "200": _json(_object("", size=_INT), "appended"),
            "409": {"description": "the file has details.size bytes"},
            **_ERRORS,
        },
    }


def agent_outputs() -> Schema:
    """Return the OpenAPI part of an agent's outputs."""
    return {
        "requestBody": {"content": {"application/x-tar": {}}},
        "responses": {"201": _json(_object("", size=_INT), "kept"), **_ERRORS},
    }


def _object(description: str, **properties: Schema) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    return found | {"description": description} if description else found


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _query(name: str, description: str) -> Schema:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": {"type": "string"},
        "description": description,
    }


def _header(name: str, description: str) -> Schema:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": description,
    }


_TEXT: Schema = {"type": "string"}
_INT: Schema = {"type": "integer"}
_NUMBER: Schema = {"type": "number"}
_BOOL: Schema = {"type": "boolean"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_STATE: Schema = {"type": "string", "enum": [str(state) for state in JobState]}
_ERRORS: Schema = {"default": {**_json(_ref("Error"), "what is wrong, and what to do next")}}

_NOTIFY: dict[str, Schema] = {
    "events": _list(_TEXT), "channel": _TEXT, "quiet": _TEXT, "zone": _TEXT, "digest": _BOOL, "longer_than": _NUMBER,
}  # fmt: skip
_DEAD_LETTER: dict[str, Schema] = {
    "id": _TEXT, "user": _TEXT, "kind": _TEXT, "job": _TEXT, "made_at": _TIME, "tries": _INT, "error": _TEXT,
}  # fmt: skip
_USAGE_ROW: dict[str, Schema] = {
    "key": _maybe(_text("null in the total")),
    "jobs": _text("jobs that ran in the window") | {"type": "integer"},
    "allocated_gpu_hours": _NUMBER,
    "busy_gpu_hours": _maybe(_NUMBER),
    "idle_gpu_hours": _maybe(_NUMBER),
    "busy_known_gpu_hours": _NUMBER,
    "outside_gpu_hours": _NUMBER,
    "outside_busy_gpu_hours": _NUMBER,
    "charged_gpu_hours": _maybe(_NUMBER),
}
_JOB_SHORT: dict[str, Schema] = {
    "id": _text("1042, or 1042.3 for a task of an array"),
    "name": _TEXT,
    "owner": _TEXT,
    "state": _STATE,
    "end_reason": _maybe(_TEXT),
    "verdict": _maybe(_text("one sentence with its evidence")),
    "exit_code": _maybe(_INT),
    "node": _maybe(_TEXT),
    "gpus": _list(_text("uuid")),
    "simulated": _BOOL,
    "submitted_at": _TIME,
    "started_at": _maybe(_TIME),
    "ended_at": _maybe(_TIME),
    "gpu_request": _TEXT,
    "priority": _TEXT,
    "tags": _list(_TEXT),
    "note": _TEXT,
    "array": _maybe(_TEXT),
    "index": _maybe(_INT),
    "attempt": _INT,
    "why": _maybe(_text("why it waits")),
}
_JOB_MORE: dict[str, Schema] = {
    "attempts": _list(_ref("Attempt")),
    "image": _object("", key=_TEXT, ref=_maybe(_TEXT), id=_maybe(_TEXT)),
    "cpus": _maybe(_NUMBER),
    "memory": _maybe(_INT),
    "gpu_shares": _maybe(_list(_INT)),
    "not_before": _maybe(_TIME),
    "retries_used": _INT,
    "stop": _maybe(_object("", reason=_TEXT, by=_TEXT, at=_TIME)),
    "end_text": _maybe(_TEXT),
    "spec": _ref("Spec"),
}
_GPU: dict[str, Schema] = {
    "node": _TEXT,
    "index": _INT,
    "slot": _text("the index; of a MIG instance the index, a dot and its id"),
    "uuid": _TEXT,
    "model": _TEXT,
    "memory": _INT,
    "simulated": _BOOL,
    "fault": _TEXT,
    "memory_used": _maybe(_INT),
    "utilization": _maybe(_NUMBER),
    "temperature": _maybe(_NUMBER),
    "power": _maybe(_NUMBER),
    "state": _text("free, reserved, held, busy or lost"),
    "outside": _list(
        _object(
            "Somebody who holds it outside the queue, and the rule that says so.",
            user=_TEXT,
            job=_maybe(_text("one that has ended, and whose processes are still there")),
            source=_TEXT,
            container=_maybe(_TEXT),
            since=_maybe(_TIME),
            memory=_maybe(_INT),
            processes=_INT,
            busy=_BOOL,
            disputed=_maybe(_TEXT),
        )
    ),
    "holders": _list(
        _object("", job=_TEXT, name=_TEXT, owner=_TEXT, state=_STATE, since=_maybe(_TIME), share=_maybe(_INT))
    ),
}
_NODE: dict[str, Schema] = {
    "name": _TEXT,
    "state": _text("up, drained, silent or lost"),
    "reason": _TEXT,
    "heartbeat": _maybe(_TIME),
    "cpus": _NUMBER,
    "cpus_held": _NUMBER,
    "memory": _INT,
    "memory_held": _INT,
    "labels": {"type": "object"},
    "version": _TEXT,
    "facts": {"type": "object"},
    "jobs": _list(_TEXT),
    "gpus": _list(_ref("Gpu")),
}
