"""Jobs in Redis: submit, move, read.

``move`` is the only function of the project that writes a state.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from labq.errors import (
    BadInputError,
    ConflictError,
    IllegalMoveError,
    InternalError,
    LabqError,
    NotFoundError,
    TooLargeError,
)
from labq.ids import check_job_id
from labq.job import Job, decode, encode
from labq.moves import Claim
from labq.spec import JobSpec
from labq.store import keys
from labq.store.connection import Connection, answers

log = logging.getLogger(__name__)


class StaleError(ConflictError):
    """The job has moved on, or the lease is another's. Nothing was changed: drop the result."""

    code = "stale"


class BusyError(ConflictError):
    """The claim does not fit what the node's leases leave. Nothing was changed."""

    code = "busy"


class FencedError(ConflictError):
    """Another leader has taken over. Nothing was changed: stop deciding."""

    code = "fenced"


@dataclass(frozen=True, slots=True)
class Submission:
    """What a submit made."""

    #: the job's id, or the array's
    id: str
    #: ids of all jobs, in the order of their indices
    jobs: tuple[str, ...]
    #: True when the same idempotency key had made them before
    again: bool
    #: id of its event; "" when made before
    event: str = ""


class JobStore:
    """Jobs, and the leases that they hold."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``."""
        self._redis = connection

    @answers
    def set_keep(self, seconds: float) -> None:
        """Say how long final records stay in Redis, whoever moves them there."""
        self._redis.client.set(keys.KEEP, int(seconds))

    @answers
    def submit(
        self,
        first: Job,
        *,
        indices: Sequence[int] | None,
        now: float,
        idempotency_key: str = "",
        secrets: Mapping[str, str] | None = None,
        max_queued: int = 20_000,
        recorded: Container[str] = (),
    ) -> Submission:
        """Make the job, or one job for each index, in one step; all or none.

        Args:
            first: the record; its id, seq, array and index are given by the store.
            indices: of an array; None for a single job.
            now: seconds since the epoch.
            idempotency_key: a second request with the same key and owner makes nothing.
            secrets: values by name; deleted when the job ends.
            max_queued: most jobs that the owner may have queued.
            recorded: ids that the records know: it may wait for them though Redis has forgotten them.

        Raises:
            NotFoundError: a dependency does not exist.
            TooLargeError: over ``max_queued``.
            ConflictError: the idempotency key was used for another request.
            InternalError: the record could not be read back; nothing is made.
        """
        flat = first.to_fields()
        _check_readable(first, flat)
        for name in ("v", "id", "seq", "state", "array", "index"):
            flat.pop(name, None)
        after = [str(dependency.job) for dependency in first.spec.after if dependency.job not in recorded]
        index_text = "" if indices is None else json.dumps(list(indices), separators=(",", ":"))
        answer = self._redis.script(
            "submit",
            [
                idempotency_key,
                first.owner,
                now,
                index_text,
                json.dumps(flat, ensure_ascii=False),
                json.dumps(secrets) if secrets else "",
                max_queued,
                json.dumps(after) if after else "[]",
                _fingerprint(flat, index_text),
            ],
        )
        match answer:
            case ["ok", number, event]:
                ids = (number,) if indices is None else tuple(f"{number}.{index}" for index in indices)
                return Submission(number, ids, False, event)
            case ["again", text]:
                ids = tuple(json.loads(text))
                return Submission(ids[0].partition(".")[0] if indices is not None else ids[0], ids, True)
            case ["other", text]:
                raise ConflictError(
                    f"the idempotency key {idempotency_key!r} was used before, for another request",
                    f"use a new key for each request; that one made {', '.join(json.loads(text)[:3])}",
                )
            case ["missing", job_id]:
                raise NotFoundError(
                    f"job {job_id}, which this one waits for, does not exist", "labq ls shows your jobs"
                )
            case [_, queued]:
                raise TooLargeError(
                    f"{first.owner} has {queued} jobs queued; this request would pass the limit of {max_queued}",
                    "wait until some have started, or ask an admin to raise LABQ_MAX_QUEUED_PER_USER",
                )
        raise AssertionError(answer)

    @answers
    def move(
        self,
        old: Job,
        new: Job,
        *,
        now: float,
        by: str,
        claim: Claim | None = None,
        fence: int | None = None,
    ) -> str:
        """Write ``new`` in place of ``old``, with its lease, its indexes and its event, or change nothing.

        Args:
            old: the record as it was read: its state, its lease and why it is to stop are what is expected.
            new: made from ``old`` by a function of ``labq.moves``.
            now: seconds since the epoch.
            by: who moves it: "scheduler", "agent n1", a user's name.
            claim: the lease to take; for a move to starting only.
            fence: the leader's fencing number, when the deciding loop moves it.

        Returns:
            The id of the event.

        Raises:
            StaleError: the job is not in the state or not under the lease of ``old``, or is to stop for another reason.
            BusyError: the claim does not fit.
            FencedError: another leader decides now.
            IllegalMoveError: the table does not know the move.
            NotFoundError: there is no such job.
        """
        new.check()
        before, after = old.to_fields(), new.to_fields()
        set_fields = {k: v for k, v in after.items() if before.get(k) != v}
        dropped = [k for k in before if k not in after]
        answer = self._redis.script(
            "move",
            [
                old.id,
                old.state,
                old.lease or "",
                new.state,
                now,
                json.dumps(set_fields, ensure_ascii=False),
                json.dumps(dropped),
                _claim_text(claim, old.id, new.attempt) if claim else "",
                "" if fence is None else fence,
                by,
                "" if old.stop is None else old.stop.reason,
            ],
        )
        match answer:
            case ["ok", event]:
                return str(event)
            case ["stale", state, lease]:
                held = f" under lease {lease}" if lease else ""
                raise StaleError(
                    f"job {old.id} is {state}{held}, not {old.state} under {old.lease or 'no lease'}",
                    f"labq show {old.id}",
                )
            case ["busy", text]:
                raise BusyError(f"job {old.id} cannot start on {claim.node.name if claim else '?'}: {text}")
            case ["fenced"]:
                raise FencedError("another scheduler has taken over the decisions")
            case ["illegal"]:
                raise IllegalMoveError(
                    f"job {old.id}: {old.state} -> {new.state} is not legal", f"labq show {old.id}"
                )
        raise _no_job(old.id)

    @answers
    def get(self, job_id: str) -> Job:
        """Return one job.

        Raises:
            BadInputError: the id has no legal form.
            NotFoundError: Redis holds no such job (the records may).
        """
        flat = self._redis.client.hgetall(keys.JOB + check_job_id(job_id))
        if not flat:
            raise _no_job(job_id)
        return Job.from_fields(flat)

    @answers
    def get_many(self, job_ids: Iterable[str]) -> list[Job]:
        """Return the jobs that exist, in the order of the ids; equal specs are parsed once.

        A record that cannot be read is logged and left out: one bad record must not stop the lab.
        """
        ids = list(job_ids)
        specs: dict[str, JobSpec] = {}
        jobs: list[Job] = []
        for start in range(0, len(ids), 1000):
            pipe = self._redis.client.pipeline(transaction=False)
            for job_id in ids[start : start + 1000]:
                pipe.hgetall(keys.JOB + job_id)
            for flat in pipe.execute():
                job = _readable(flat, specs) if flat else None
                if job is not None:
                    jobs.append(job)
        return jobs

    @answers
    def array(self, array_id: str) -> list[str]:
        """Return the ids of an array's tasks; empty when there is no such array."""
        text = self._redis.client.get(keys.ARRAY + check_job_id(array_id))
        return [f"{array_id}.{index}" for index in json.loads(text)] if text else []

    @answers
    def array_is_over(self, array_id: str) -> bool:
        """Return whether all tasks of an array have ended; False, too, when Redis has forgotten it."""
        key = keys.ARRAY + check_job_id(array_id)
        array, left = self._redis.client.pipeline().exists(key).exists(f"{key}:left").execute()
        return bool(array) and not left

    @answers
    def active_ids(self) -> list[str]:
        """Return the ids of all jobs that are not final, in order of submission."""
        return list(self._redis.client.zrange(keys.ACTIVE, 0, -1))

    @answers
    def ended_ids(self, since: float, most: int) -> list[str]:
        """Return the ids of jobs that ended at or after ``since``, the latest first, at most ``most``."""
        return list(
            self._redis.client.zrange(keys.ENDED, "+inf", since, desc=True, byscore=True, offset=0, num=most)
        )

    @answers
    def leases(self, node: str) -> dict[str, str]:
        """Return the leases on a node: token to job id. The truth of what may run there."""
        found = self._redis.client.hgetall(keys.LEASES + node)
        return {token: json.loads(text)["job"] for token, text in found.items()}

    @answers
    def secrets(self, job_id: str) -> dict[str, str]:
        """Return the values of a job's secrets, for the agent that starts it."""
        return dict(self._redis.client.hgetall(keys.SECRETS + job_id))

    @answers
    def set_note(self, job: Job, note: str, *, now: float) -> Job:
        """Write the owner's note (the one field that may change in any state), with an event."""
        if len(note) > 4000:
            raise BadInputError(f"the note has {len(note)} characters", "at most 4,000")
        if not self._redis.client.exists(keys.JOB + job.id):
            raise _no_job(job.id)
        pipe = self._redis.client.pipeline(transaction=True)
        pipe.hset(keys.JOB + job.id, "note", encode("note", note))
        changed = {
            "type": "noted",
            "at": now,
            "id": job.id,
            "owner": job.owner,
            "set": json.dumps({"note": note}),
        }
        pipe.xadd(keys.EVENTS, changed, maxlen=keys.MAX_EVENTS, approximate=True)
        pipe.execute()
        return replace(job, note=note)

    @answers
    def outputs_arrived(self, job_id: str, attempt: int, *, now: float) -> str:
        """Let a queued job wait no longer for the outputs of an attempt: they are there, or never will be.

        Args:
            job_id: the job.
            attempt: number of the attempt.
            now: seconds since the epoch.

        Returns:
            The id of the event; "" when it did not wait for them.
        """
        (event,) = self._redis.script("outputs", [job_id, attempt, now])
        return str(event)

    @answers
    def forget_ended(self, before: float) -> int:
        """Drop ids that ended before ``before`` from the index; Redis has expired their records."""
        return int(self._redis.client.zremrangebyscore(keys.ENDED, "-inf", f"({before}"))


def _check_readable(job: Job, flat: Mapping[str, str]) -> None:
    """Refuse what could be written but not read back: it would be in everybody's way, for ever."""
    try:
        same = decode("spec", flat["spec"]) == job.spec
    except LabqError as error:
        raise InternalError(
            f"this request cannot be stored: {error.what}", "report it, with the request"
        ) from None
    if not same:
        raise InternalError("this request is not stored as it was read", "report it, with the request")


def _readable(flat: Mapping[str, str], specs: dict[str, JobSpec]) -> Job | None:
    try:
        job = Job.from_fields(flat, specs.get(flat["spec"]))
    except (LabqError, KeyError, ValueError, TypeError):
        log.exception("the record of job %s cannot be read; it is left out", flat.get("id", "?"))
        return None
    specs[flat["spec"]] = job.spec
    return job


def _fingerprint(flat: Mapping[str, str], indices: str) -> str:
    """Return what tells two requests apart: all but the moment of the request."""
    said = {name: value for name, value in flat.items() if name != "submitted_at"}
    return hashlib.sha256(json.dumps([said, indices], sort_keys=True).encode()).hexdigest()


def _claim_text(claim: Claim, job_id: str, attempt: int) -> str:
    sizes = {gpu.uuid: gpu.memory for gpu in claim.node.gpus}
    gpus = [[hold.uuid, hold.memory] for hold in claim.gpus]
    stored = {
        "job": job_id,
        "attempt": attempt,
        "gpus": gpus,
        "cpus": claim.cpus,
        "memory": claim.memory,
        "disk": claim.disk,
    }
    return json.dumps(
        {
            "token": claim.token,
            "node": claim.node.name,
            "attempt": attempt,
            "gpus": [[hold.uuid, hold.memory, sizes[hold.uuid]] for hold in claim.gpus],
            "cpus": claim.cpus,
            "memory": claim.memory,
            "disk": claim.disk,
            "cpus_total": claim.node.cpus,
            "memory_total": claim.node.memory,
            "disk_total": claim.node.disk or 0,
            "stored": json.dumps(stored),
        }
    )


def _no_job(job_id: str) -> NotFoundError:
    return NotFoundError(f"there is no job {job_id}", "labq ls --all shows everybody's jobs")
