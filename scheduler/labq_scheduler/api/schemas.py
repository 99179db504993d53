"""What OpenAPI shows. Requests are checked by labq's own parsers; this describes them.

``tests/contract/scheduler_api`` compares each view with what the server answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from labq.spec import json_schema
from labq_scheduler.api import schema_parts as parts
from labq_scheduler.api.schema_parts import Schema

FOLLOW = (
    "`event: log` and `event: build`: `{stream, t, b64}` with ids that `Last-Event-ID` resumes from; "
    "`event: state`; at last `event: end` with the job"
)


def components() -> dict[str, Schema]:
    """Return every named schema."""
    return {
        "Spec": json_schema(),
        "Error": parts.record(
            "Every error has this shape.",
            error=parts.record(
                "What happened, and what to do next.",
                code=parts.text(
                    "stable: bad_input, impossible, not_allowed, no_token, not_found, conflict, …"
                ),
                what=parts.text("one sentence that quotes the input"),
                next=parts.text("what is legal, or what to do now"),
                details={"type": "object", "description": "facts for programs"},
            ),
        ),
        "SubmitRequest": parts.record(
            "A job to be made.",
            spec=parts.ref("Spec"),
            array=parts.text("indices of an array: 0-9, 1,5,7 or 0-100:10"),
            secrets={"type": "object", "additionalProperties": {"type": "string"}, "description": "by name"},
        ),
        "RerunRequest": parts.record(
            "Changes to the old spec; null = back to the default.",
            changes={"type": "object"},
            array=parts.text("indices"),
            secrets={"type": "object", "additionalProperties": {"type": "string"}},
        ),
        "CancelRequest": parts.record("", grace=parts.text("time between SIGTERM and SIGKILL, such as 10s")),
        "KeepRequest": parts.record("", **{"for": parts.text("a duration, such as 4h, at most 7d")}),
        "Kept": parts.record("", id=parts.TEXT, until=parts.TIME),
        "NoteRequest": parts.record("", note=parts.text("up to 4,000 characters")),
        "DrainRequest": parts.record("", reason=parts.text("why, for people")),
        "UserRequest": parts.record(
            "",
            uid=parts.INT,
            gid=parts.INT,
            admin=parts.BOOL,
            agent=parts.BOOL,
            group=parts.TEXT,
            slack_id=parts.TEXT,
        ),
        "NotifyRequest": parts.record("What is not named stays; null = the default.", **parts.NOTIFY),
        "Notify": parts.record(
            "What you are told.", **parts.NOTIFY, problem=parts.maybe(parts.TEXT), waiting=parts.INT
        ),
        "NotifyTest": parts.record("", id=parts.TEXT, channel=parts.TEXT),
        "Forgotten": parts.record("How many dead letters are gone.", forgotten=parts.INT),
        "DeadLetter": parts.record("A notice that could not be sent.", **parts.DEAD_LETTER),
        "Submitted": parts.record(
            "What was made.",
            id=parts.text("of the job or the array"),
            state=parts.text("queued"),
            name=parts.TEXT,
            owner=parts.text("whoever the token says"),
            warnings=parts.items(parts.TEXT),
            jobs=parts.items(parts.record("", id=parts.TEXT, state=parts.TEXT)),
        ),
        "Checked": parts.record(
            "",
            why=parts.maybe(parts.text("why it can never run")),
            fits=parts.items(parts.TEXT),
            warnings=parts.items(parts.TEXT),
            waits=parts.maybe(parts.text("why it would wait; null = it would start at once")),
            **parts.OUTLOOK,
        ),
        "Cancelled": parts.record(
            "",
            cancelled=parts.items(parts.TEXT),
            stopping=parts.items(parts.TEXT),
            already=parts.items(parts.TEXT),
        ),
        "Why": parts.record(
            "", id=parts.TEXT, state=parts.STATE, why=parts.text("one sentence"), **parts.OUTLOOK
        ),
        "JobShort": parts.record("A job in a list.", **parts.JOB_SHORT),
        "Job": parts.record("A job with its spec and attempts.", **parts.JOB_SHORT, **parts.JOB_MORE),
        "Attempt": parts.record(
            "One run that is over.",
            number=parts.INT,
            node=parts.TEXT,
            gpus=parts.items(parts.TEXT),
            started_at=parts.maybe(parts.TIME),
            ended_at=parts.TIME,
            exit_code=parts.maybe(parts.INT),
            end_reason=parts.TEXT,
            verdict=parts.TEXT,
        ),
        "Node": parts.record("A machine that runs jobs.", **parts.NODE),
        "Gpu": parts.record("One GPU and who holds it.", **parts.GPU),
        "Image": parts.record(
            "", key=parts.TEXT, nodes={"type": "object", "description": "by node: state, at, error, …"}
        ),
        "User": parts.record(
            "",
            name=parts.TEXT,
            uid=parts.INT,
            gid=parts.INT,
            admin=parts.BOOL,
            agent=parts.BOOL,
            group=parts.TEXT,
            slack_id=parts.TEXT,
        ),
        "Usage": parts.record(
            "Who used how much in a window; hours of GPUs.",
            by=parts.TEXT,
            since=parts.TIME,
            until=parts.TIME,
            rows=parts.items(parts.ref("UsageRow")),
            total=parts.ref("UsageRow"),
        ),
        "UsageRow": parts.record("One person, group or node; null = not known.", **parts.USAGE_ROW),
        "History": parts.record(
            "The jobs that ran, are over and were submitted since then; oldest first.",
            since=parts.TIME,
            cut=parts.BOOL | {"description": "there are older ones, too"},
            pseudonyms=parts.BOOL | {"description": "others than who asks have made-up names"},
            rules=parts.text("the rules in force as a file that says the same, but for reservations"),
            jobs=parts.items(parts.ref("PastJob")),
        ),
        "PastJob": parts.record("A job as a replay needs it; null = it did not say.", **parts.PAST_JOB),
        "JoinRequest": parts.record(
            "",
            name=parts.text("of the node"),
            token=parts.text("one-time: labq-scheduler --node-join NAME prints one"),
        ),
        "Joined": parts.record(
            "What a node needs; shown once.",
            name=parts.TEXT,
            token=parts.text("with which its agent speaks to the server"),
            redis_url=parts.text("Redis as nodes reach it, with its password"),
        ),
        "Package": parts.record("A wheel of labq.", **parts.PACKAGE),
        "Token": parts.record("", name=parts.TEXT, token=parts.text("shown once")),
        "ProvisionRequest": parts.record("What is to be run; all may be left out.", **parts.PROVISION),
        "Run": parts.record("A run of the provisioner.", **parts.PROVISION, **parts.RUN),
        "RunNews": parts.record(
            "", events=parts.items(parts.record("", **parts.RUN_EVENT)), run=parts.ref("Run")
        ),
        "Rules": parts.record(
            "The rules in force.",
            file=parts.text("where the server looks for them"),
            **{"from": parts.text("file, copy (of the last good file) or defaults")},
            since=parts.TIME,
            problem=parts.maybe(
                parts.record("Why the file as it is now is not used.", what=parts.TEXT, next=parts.TEXT)
            ),
            rows=parts.items(parts.record("", **parts.RULE)),
            notes=parts.items(parts.text("what is legal and perhaps not meant")),
        ),
        "RulesRequest": parts.record("", text=parts.text("of the file"), name=parts.text("of the file")),
        "RulesDiff": parts.record(
            "What a file would change; null = it is not said.",
            changes=parts.items(
                parts.record("", key=parts.TEXT, now=parts.maybe(parts.TEXT), then=parts.maybe(parts.TEXT))
            ),
            notes=parts.items(parts.TEXT),
        ),
        "Health": parts.record("", ok=parts.BOOL),
        "Finding": parts.record("", name=parts.TEXT, ok=parts.BOOL, what=parts.TEXT, next=parts.TEXT),
    }


def answer(name: str, status: int = 200, *, many: bool = False, open_to_all: bool = False) -> Schema:
    """Return the OpenAPI part of a route that answers ``name``."""
    schema = parts.items(parts.ref(name)) if many else parts.ref(name)
    found: Schema = {"responses": {str(status): parts.json(schema, name), **parts.ERRORS}}
    if status != 200:
        found["responses"]["200"] = {"description": "not used"}
    if open_to_all:
        found["security"] = []
    return found


def body(request: str, response: str, status: int = 200, *, key: bool = False) -> Schema:
    """Return the OpenAPI part of a route with a JSON body."""
    found: Schema = {"responses": {str(status): parts.json(parts.ref(response), response), **parts.ERRORS}}
    if key:
        found["responses"]["200"] = parts.json(
            parts.ref(response), "the same Idempotency-Key had made it before"
        )
        found["parameters"] = [
            parts.header("Idempotency-Key", "a retried request with the same key makes one job")
        ]
    return found | {"requestBody": {"content": {"application/json": {"schema": parts.ref(request)}}}}


def check() -> Schema:
    """Return the OpenAPI part of the question what would become of a job."""
    rows = {
        "estimate": "no = leave out why it would wait and when it would start, which take time in a long queue"
    }
    return _asking(body("SubmitRequest", "Checked"), rows)


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
    return _asking(answer("JobShort", many=True), rows)


def logs_query() -> Schema:
    """Return the OpenAPI part of the raw log."""
    rows = {
        "attempt": "the last by default",
        "tail": "the last so many lines",
        "since": "10m, or RFC 3339",
        "timestamps": "1 = the time before each line",
        "stream": "stdout or stderr",
    }
    return _asking(binary("The bytes as they were written."), rows)


def outputs_query() -> Schema:
    """Return the OpenAPI part of the outputs."""
    found = binary("A tar with names relative to /outputs.", "application/x-tar")
    found["parameters"] = [parts.query("attempt", "the last by default")]
    return found


def wait() -> Schema:
    """Return the OpenAPI part of the long poll."""
    found = answer("Job")
    found["responses"]["202"] = parts.json(parts.ref("Job"), "it has not ended yet")
    found["parameters"] = [parts.query("timeout", "seconds, at most 60")]
    return found


def stream(what: str) -> Schema:
    """Return the OpenAPI part of a stream of server-sent events."""
    return binary(f"Server-sent events: {what}.", "text/event-stream")


def binary(what: str, media: str = "application/octet-stream") -> Schema:
    """Return the OpenAPI part of a route that answers bytes."""
    return {"responses": {"200": {"description": what, "content": {media: {}}}, **parts.ERRORS}}


def join() -> Schema:
    """Return the OpenAPI part of joining: the token is in the body."""
    return body("JoinRequest", "Joined", 201) | {"security": []}


def package() -> Schema:
    """Return the OpenAPI part of a wheel's bytes."""
    return binary("The wheel.", "application/zip") | {"security": []}


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
    return _asking(answer("Usage"), rows)


def history_query() -> Schema:
    """Return the OpenAPI part of the question which jobs are over."""
    since = "submitted since then: 90d (default), or RFC 3339; the newest 50,000 at most"
    return _asking(answer("History"), {"since": since})


def runs_query() -> Schema:
    """Return the OpenAPI part of the list of runs."""
    return _asking(answer("Run", many=True), {"limit": "at most so many, 20 by default, at most 200"})


def run_events() -> Schema:
    """Return the OpenAPI part of what happened in a run."""
    rows = {
        "after": "number of the last event that is known; 0 = none",
        "wait": "seconds to wait for the next, at most 60",
    }
    return _asking(answer("RunNews"), rows)


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
            parts.header("X-Offset", "append at this byte (= X-Received); 0 begins anew"),
            parts.header("X-Total", "bytes of the whole"),
        ],
        "requestBody": {"content": {"application/x-tar": {}}},
        "responses": {**{code: {"description": text} for code, text in answers.items()}, **parts.ERRORS},
    }


def agent_log() -> Schema:
    """Return the OpenAPI part of an agent's piece of a log."""
    return {
        "parameters": [parts.header("X-Offset", "the size that the file has now")],
        "requestBody": {"content": {"application/octet-stream": {}}},
        "responses": {
            "200": parts.json(parts.record("", size=parts.INT), "appended"),
            "409": {"description": "the file has details.size bytes"},
            **parts.ERRORS,
        },
    }


def agent_outputs() -> Schema:
    """Return the OpenAPI part of an agent's outputs."""
    return {
        "requestBody": {"content": {"application/x-tar": {}}},
        "responses": {"201": parts.json(parts.record("", size=parts.INT), "kept"), **parts.ERRORS},
    }


def agent_begin() -> Schema:
    """Return the OpenAPI part of the outputs with which an attempt begins."""
    return binary(
        "A tar with names relative to /outputs; X-Labq-Attempt: whose they are.", "application/x-tar"
    )


def _asking(found: Schema, rows: Mapping[str, str]) -> Schema:
    """Return the route with parameters of its query: name -> what it says."""
    return found | {"parameters": [parts.query(name, text) for name, text in rows.items()]}
