"""The job record: only facts that exist in the job's state. Pure.

Lives here: ``Job``, its attempts and its lease, the invariants of each state (``check``), and the flat form
in which the store keeps it (``to_fields``/``from_fields``: text to text, absent = not so).
Must not live here: who writes it (the store's ``move`` alone).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from labq.ending import EndReason, StopRequest
from labq.errors import InternalError
from labq.spec import JobSpec
from labq.states import FINAL, HOLDING, JobState

#: Version of the flat form; ``from_fields`` reads every older one.
RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class GpuHold:
    """One GPU that a lease holds."""

    uuid: str
    #: bytes of a shared GPU; 0 = the whole GPU
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run that is over."""

    number: int
    node: str
    gpus: tuple[str, ...]
    lease: str
    #: seconds since the epoch; None when no container of it ever ran
    started_at: float | None
    ended_at: float
    exit_code: int | None
    reason: EndReason
    verdict: str
    #: id of the job that it was stopped for, when it was preempted
    yielded_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, as the store holds it."""

    id: str
    owner: str
    uid: int
    gid: int
    spec: JobSpec
    state: JobState
    #: seconds since the epoch
    submitted_at: float
    #: order of submission in the lab; the last tie-break
    seq: int
    image_key: str
    #: number of the current or last attempt; 0 = none yet
    attempt: int = 0
    attempts: tuple[Attempt, ...] = ()
    retries_used: int = 0
    free_requeues: int = 0
    #: seconds since the epoch before which it does not start; 0 = at once
    not_before: float = 0.0
    #: id of the array it is a task of, and its index there
    array: str | None = None
    index: int | None = None
    #: token that fences the attempt: whoever writes must name it
    lease: str | None = None
    node: str | None = None
    gpus: tuple[GpuHold, ...] = ()
    #: cores and bytes held by the lease
    cpus: float | None = None
    memory: int | None = None
    #: bytes of disk held by the lease; None = the job did not say
    disk: int | None = None
    simulated: bool = False
    image_id: str | None = None
    started_at: float | None = None
    stop: StopRequest | None = None
    ended_at: float | None = None
    end_reason: EndReason | None = None
    exit_code: int | None = None
    verdict: str | None = None
    #: replaces spec.note when the owner changed it
    note: str | None = None
    #: number of the attempt whose outputs are on their way to the server, while it waits for them
    outputs_due: int | None = None

    @property
    def grace(self) -> float:
        """Return the seconds between SIGTERM and SIGKILL that hold now."""
        return self.spec.grace if self.stop is None or self.stop.grace is None else self.stop.grace

    def check(self) -> None:
        """Do nothing when the record holds just what its state allows.

        Raises:
            InternalError: naming the first broken invariant.
        """
        holding, final = self.state in HOLDING, self.state in FINAL
        rules = (
            (holding == (self.lease is not None), "a lease belongs to starting, running and stopping"),
            (not holding or bool(self.node), "a holding job names its node"),
            (
                not holding or (self.cpus is not None and self.memory is not None),
                "a lease has cores and memory",
            ),
            (final == (self.end_reason is not None), "an end reason belongs to a final state"),
            (final == (self.ended_at is not None), "an end belongs to a final state"),
            (final == (self.verdict is not None), "a verdict belongs to a final state"),
            (self.stop is None or self.state is JobState.STOPPING, "a stop request belongs to stopping"),
            (self.state is not JobState.RUNNING or self.started_at is not None, "a running job has started"),
            (self.state is not JobState.QUEUED or self.started_at is None, "a queued job has not started"),
            (
                self.outputs_due is None or self.state is JobState.QUEUED,
                "only a queued job waits for outputs",
            ),
        )
        for holds, text in rules:
            if not holds:
                raise InternalError(f"job {self.id} ({self.state}): {text}")

    def to_fields(self) -> dict[str, str]:
        """Return the flat form: absent fields are None or default."""
        out = {"v": str(RECORD_VERSION)}
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and value is not False and value != ():
                out[item.name] = encode(item.name, value)
        return out

    @staticmethod
    def from_fields(flat: Mapping[str, str], spec: JobSpec | None = None) -> Job:
        """Return the job of a flat form.

        Args:
            flat: what the store holds.
            spec: the parsed spec when the caller has it (tasks of an array share one).
        """
        version = int(flat.get("v", "1"))
        if version > RECORD_VERSION:
            raise InternalError(
                f"job {flat.get('id')} was written by a newer labq (record version {version})",
                "upgrade this labq",
            )
        parsed = {key: decode(key, text) for key, text in flat.items() if key in _DECODE and key != "spec"}
        return Job(spec=spec or decode("spec", flat["spec"]), **parsed)


def encode(name: str, value: Any) -> str:
    """Return the flat text of the field ``name``."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str | int | float):
        return str(value)
    return json.dumps(_plain(name, value), ensure_ascii=False, separators=(",", ":"))


def decode(name: str, text: str) -> Any:
    """Return the value of the field ``name`` from its flat text."""
    return _DECODE[name](text)


def _plain(name: str, value: Any) -> Any:
    match name:
        case "spec":
            return value.to_wire()
        case "gpus":
            return [[hold.uuid, hold.memory] for hold in value]
        case "attempts":
            return [attempt_to_wire(attempt) for attempt in value]
        case "stop":
            return {item.name: getattr(value, item.name) for item in fields(value)}
        case _:
            return value


def attempt_to_wire(attempt: Attempt) -> dict[str, Any]:
    """Return the JSON form of an attempt (times in seconds since the epoch)."""
    return {item.name: getattr(attempt, item.name) for item in fields(attempt)}


def attempt_from_wire(body: Mapping[str, Any]) -> Attempt:
    """Return the attempt that :func:`attempt_to_wire` wrote."""
    known = dict(body)
    known["gpus"] = tuple(known["gpus"])
    known["reason"] = EndReason(known["reason"])
    return Attempt(**known)


def _stop(text: str) -> StopRequest:
    body = json.loads(text)
    return StopRequest(
        EndReason(body["reason"]), body["by"], body["at"], body.get("grace"), body.get("for_job")
    )


_DECODE: dict[str, Any] = {
    "id": str,
    "owner": str,
    "uid": int,
    "gid": int,
    "spec": lambda text: JobSpec.from_wire(json.loads(text), "the stored job"),
    "state": JobState,
    "submitted_at": float,
    "seq": int,
    "image_key": str,
    "attempt": int,
    "attempts": lambda text: tuple(attempt_from_wire(body) for body in json.loads(text)),
    "retries_used": int,
    "free_requeues": int,
    "not_before": float,
    "array": str,
    "index": int,
    "lease": str,
    "node": str,
    "gpus": lambda text: tuple(GpuHold(uuid, memory) for uuid, memory in json.loads(text)),
    "cpus": float,
    "memory": int,
    "disk": int,
    "simulated": lambda text: text == "1",
    "image_id": str,
    "started_at": float,
    "stop": _stop,
    "ended_at": float,
    "end_reason": EndReason,
    "exit_code": int,
    "verdict": str,
    "note": str,
    "outputs_due": int,
}
