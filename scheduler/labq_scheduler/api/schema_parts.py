"""What schemas of the API are put together from: small schemas, and the properties of the views of labq/wire.py."""

from __future__ import annotations

from typing import Any

from labq.provision import RunState
from labq.states import JobState

Schema = dict[str, Any]


def record(description: str, **properties: Schema) -> Schema:
    """Return the schema of an object with these properties, all of them always there."""
    found: Schema = {"type": "object", "properties": properties}
    return found | {"description": description} if description else found


def text(description: str) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", "description": description}


def items(each: Schema) -> Schema:
    """Return the schema of a list of these."""
    return {"type": "array", "items": each}


def maybe(schema: Schema) -> Schema:
    """Return the schema of this or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name: str) -> Schema:
    """Return the schema of a reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def json(schema: Schema, description: str) -> Schema:
    """Return the schema of a JSON body."""
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def query(name: str, description: str) -> Schema:
    """Return the schema of a parameter of the query."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": {"type": "string"},
        "description": description,
    }


def header(name: str, description: str) -> Schema:
    """Return the schema of a header."""
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": description,
    }


TEXT: Schema = {"type": "string"}
INT: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOL: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
STATE: Schema = {"type": "string", "enum": [str(state) for state in JobState]}
ERRORS: Schema = {"default": {**json(ref("Error"), "what is wrong, and what to do next")}}

NOTIFY: dict[str, Schema] = {
    "events": items(TEXT), "channel": TEXT, "quiet": TEXT, "zone": TEXT, "digest": BOOL, "longer_than": NUMBER,
}  # fmt: skip
DEAD_LETTER: dict[str, Schema] = {
    "id": TEXT, "user": TEXT, "kind": TEXT, "job": TEXT, "made_at": TIME, "tries": INT, "error": TEXT,
}  # fmt: skip
USAGE_ROW: dict[str, Schema] = {
    "key": maybe(text("null in the total")),
    "jobs": text("jobs that ran in the window") | {"type": "integer"},
    "allocated_gpu_hours": NUMBER,
    "busy_gpu_hours": maybe(NUMBER),
    "idle_gpu_hours": maybe(NUMBER),
    "busy_known_gpu_hours": NUMBER,
    "outside_gpu_hours": NUMBER,
    "outside_busy_gpu_hours": NUMBER,
    "charged_gpu_hours": maybe(NUMBER),
}
PACKAGE: dict[str, Schema] = {
    "name": TEXT, "version": TEXT, "file": TEXT, "sha256": TEXT, "size": text("bytes") | {"type": "integer"},
}  # fmt: skip
JOB_SHORT: dict[str, Schema] = {
    "id": text("1042, or 1042.3 for a task of an array"),
    "name": TEXT,
    "owner": TEXT,
    "state": STATE,
    "end_reason": maybe(TEXT),
    "verdict": maybe(text("one sentence with its evidence")),
    "exit_code": maybe(INT),
    "node": maybe(TEXT),
    "gpus": items(text("uuid")),
    "simulated": BOOL,
    "submitted_at": TIME,
    "started_at": maybe(TIME),
    "ended_at": maybe(TIME),
    "ran_before": NUMBER
    | {
        "description": "seconds that earlier attempts ran; between submitted_at and started_at, and not waited"
    },
    "gpu_request": TEXT,
    "priority": TEXT,
    "tags": items(TEXT),
    "note": TEXT,
    "array": maybe(TEXT),
    "index": maybe(INT),
    "attempt": INT,
    "why": maybe(text("why it waits")),
    "estimated_start": maybe(TIME),
}
OUTLOOK: dict[str, Schema] = {
    "estimate": maybe(
        record(
            "When it is expected to start; null = not known. A time is null when it lies beyond `looked_until`.",
            early=maybe(TIME),
            likely=maybe(TIME),
            late=maybe(TIME),
            node=maybe(TEXT),
            looked_until=maybe(TIME)
            | {"description": "how far was looked ahead; null = until nothing more can start"},
            as_of=TIME
            | {"description": "when the lab was looked at; beside a long queue that may be a minute ago"},
        )
    ),
    "no_estimate": maybe(text("why there is no estimate of a job that waits")),
    "starts_by": maybe(TIME) | {"description": "it starts by then for certain; null = nothing is promised"},
    "sooner": items(
        record(
            "A request that would start sooner.",
            text=TEXT,
            flag=text("of labq submit"),
            start=maybe(TIME) | {"description": "null = now"},
            node=TEXT,
        )
    ),
}
JOB_MORE: dict[str, Schema] = {
    "links": {
        "type": "object",
        "description": "grafana: its dashboard; absent when the server knows no Grafana",
    },
    "attempts": items(ref("Attempt")),
    "image": record("", key=TEXT, ref=maybe(TEXT), id=maybe(TEXT)),
    "cpus": maybe(NUMBER),
    "memory": maybe(INT),
    "disk": maybe(INT),
    "gpu_shares": maybe(items(INT)),
    "not_before": maybe(TIME),
    "retries_used": INT,
    "stop": maybe(record("", reason=TEXT, by=TEXT, at=TIME)),
    "end_text": maybe(TEXT),
    "spec": ref("Spec"),
}
RULE: dict[str, Schema] = {
    "key": text("its tables and its name: fair-share.half-life"),
    "value": text("as it stands in a file: TOML"),
    "default": maybe(text("null: it has none")),
    "line": maybe(INT | {"description": "of the file; null = it is not said there"}),
}
GPU: dict[str, Schema] = {
    "node": TEXT,
    "index": INT,
    "slot": text("the index; of a MIG instance the index, a dot and its id"),
    "uuid": TEXT,
    "model": TEXT,
    "memory": INT,
    "simulated": BOOL,
    "fault": TEXT,
    "memory_used": maybe(INT),
    "utilization": maybe(NUMBER),
    "temperature": maybe(NUMBER),
    "power": maybe(NUMBER),
    "state": text("free, reserved, held, busy or lost"),
    "outside": items(
        record(
            "Somebody who holds it outside the queue, and the rule that says so.",
            user=TEXT,
            job=maybe(text("one that has ended, and whose processes are still there")),
            source=TEXT,
            container=maybe(TEXT),
            since=maybe(TIME),
            memory=maybe(INT),
            processes=INT,
            busy=BOOL,
            disputed=maybe(TEXT),
        )
    ),
    "holders": items(
        record("", job=TEXT, name=TEXT, owner=TEXT, state=STATE, since=maybe(TIME), share=maybe(INT))
    ),
}
NODE: dict[str, Schema] = {
    "name": TEXT,
    "state": text("up, drained, silent or lost"),
    "reason": TEXT,
    "heartbeat": maybe(TIME),
    "cpus": NUMBER,
    "cpus_held": NUMBER,
    "memory": INT,
    "memory_held": INT,
    "disk": maybe(INT | {"description": "bytes that jobs may use; null: its agent does not tell"}),
    "disk_held": INT,
    "labels": {"type": "object"},
    "version": text("of its agent"),
    "behind": text("its agent is older than this server") | {"type": "boolean"},
    "facts": {"type": "object"},
    "jobs": items(TEXT),
    "gpus": items(ref("Gpu")),
    "near": text(
        "slots of GPUs that are near each other, by nvlink, switch (PCIe) and numa; what is not told is left out"
    )
    | {"type": "object"},
}

PAST_JOB: dict[str, Schema] = {
    "id": TEXT,
    "user": text("to who is no admin: others as person-1, person-2, …"),
    "name": text("to who is no admin: others' as name-1, name-2, …"),
    "submitted_at": TIME,
    "seconds": NUMBER | {"description": "of all its runs together"},
    "gpus": text("as it was asked for: 2, 24GB+, a100:4, share:8GB"),
    "cpus": maybe(NUMBER),
    "memory": maybe(INT),
    "time": maybe(NUMBER),
    "priority": TEXT,
    "nodes": items(text("a constraint")),
}

PROVISION: dict[str, Schema] = {
    "playbook": text("site.yml, gpu_nodes.yml, …; without a word site.yml, with host gpu_nodes.yml"),
    "limit": text("hosts and groups; empty = all of the playbook"),
    "tags": items(text("a part: docker, labq_worker, …")),
    "check": BOOL | {"description": "change nothing"},
    "diff": BOOL | {"description": "tell what changes in files"},
    "host": maybe(
        record(
            "A node to be put into the inventory first.",
            name=TEXT,
            address=text("of its sshd; empty = its name"),
            user=text("to log in as; empty = the inventory's"),
            port=INT | {"description": "of its sshd; 0 = the inventory's"},
            labels={"type": "object", "additionalProperties": TEXT},
            new_key=BOOL | {"description": "it was installed anew: forget its ssh host key"},
        )
    ),
    "dead": BOOL | {"description": "remove_node.yml: the machine is gone and is not asked"},
}
RUN: dict[str, Schema] = {
    "id": TEXT,
    "by": text("who asked for it"),
    "state": {"type": "string", "enum": [str(state) for state in RunState]},
    "created": TIME,
    "started": maybe(TIME),
    "ended": maybe(TIME),
    "waits_for": items(text("id of a run that works on one of its hosts")),
    "hosts": items(TEXT),
    "stats": {"type": "object", "description": "by host: ok, changed, failed, unreachable, skipped, seconds"},
    "failures": items(record("", host=TEXT, role=TEXT, task=TEXT, message=TEXT, next=TEXT)),
    "note": TEXT,
    "refused": maybe(record("Why nothing was run.", what=TEXT, next=TEXT)),
}
RUN_EVENT: dict[str, Schema] = {
    "n": INT,
    "at": TIME,
    "kind": text("task, host, requirement or say"),
    "host": TEXT,
    "role": TEXT,
    "task": TEXT,
    "outcome": text("ok, changed, failed, ignored, unreachable or skipped"),
    "seconds": NUMBER,
    "message": TEXT,
}
