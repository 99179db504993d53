"""What crosses between components as JSON: messages to agents, and views of records for people and programs.

Lives here: the only strings that two components must spell alike. Pure.

The views are stable (README, "For programs"): ``job_view`` is what ``labq show --json`` prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labq.clock import rfc3339
from labq.ending import RULES
from labq.job import Attempt, Job
from labq.node import STALE_AFTER, Gpu, Node, is_older
from labq.states import HOLDING

#: RQ queue of a node, and the functions that its agent obeys (all else is refused).
QUEUE_PREFIX = "node-"
START = "labq_worker.tasks.start_attempt"  # (job id, attempt, lease token)
STOP = "labq_worker.tasks.stop_attempt"  # (job id, attempt, lease token)
PREPARE = "labq_worker.tasks.prepare_image"  # (image key, job id whose spec says how)

#: RQ queue of the notifier, and the one function that it obeys.
CONTROL_QUEUE = "control"
DELIVER = "labq_scheduler.notify.deliver"  # (notice id)

#: RQ queue of the provisioner, and the one function that it obeys.
PROVISION_QUEUE = "provision"
PROVISION = "labq_scheduler.provision.run"  # (run id)

#: Labels of every container that labq starts.
LABEL_JOB, LABEL_ATTEMPT, LABEL_LEASE = "labq.job", "labq.attempt", "labq.lease"
LABEL_OWNER, LABEL_GPUS, LABEL_NODE = "labq.owner", "labq.gpus", "labq.node"
LABEL_SIMULATED = "labq.simulated"
#: Which agent's data directory the container belongs to: two labs may have a node of the same name on one engine.
LABEL_AGENT = "labq.agent"

#: File in a server's data directory: an agent that ships its files must not share one with a server.
SERVER_MARKER = "server.json"


def run_log_name(job_id: str, attempt: int) -> str:
    """Return the path of an attempt's log below ``logs/``, on the server and on agents."""
    return f"{job_id}/{attempt}.labqlog"


def image_log_name(image_key: str, node: str, run: int) -> str:
    """Return the path of the log of one preparation of an image below ``logs/``, on the server and on agents."""
    # "@" is in no node's name, so the last one says whose log it is: with "-" that of node a-b would also be one of b.
    return f"images/{image_key.replace(':', '-').replace('/', '_')}@{node}-{run}.labqlog"


def queue_name(node: str) -> str:
    """Return the RQ queue of a node."""
    return QUEUE_PREFIX + node


def job_view(
    job: Job, *, why: str | None = None, full: bool = True, estimated_start: float | None = None
) -> dict[str, Any]:
    """Return a job as the API shows it. Times are RFC 3339 UTC; sizes are bytes.

    Args:
        job: the record.
        why: why it waits, when it does.
        full: False leaves out spec and attempts, for long lists.
        estimated_start: when it is expected to start, if it waits and that is known; seconds since the epoch.
    """
    spec = job.spec
    view: dict[str, Any] = {
        "id": job.id,
        "name": spec.name,
        "owner": job.owner,
        "state": str(job.state),
        "end_reason": job.end_reason and str(job.end_reason),
        "verdict": job.verdict,
        "exit_code": job.exit_code,
        "node": job.node,
        "gpus": [hold.uuid for hold in job.gpus],
        "simulated": job.simulated,
        "submitted_at": rfc3339(job.submitted_at),
        "started_at": _time(job.started_at),
        "ended_at": _time(job.ended_at),
        "ran_before": _ran_before(job),
        "gpu_request": str(spec.gpus),
        "priority": spec.priority,
        "tags": list(spec.tags),
        "note": job.note if job.note is not None else spec.note,
        "array": job.array,
        "index": job.index,
        "attempt": job.attempt,
        "why": why,
        "estimated_start": _time(estimated_start),
    }
    if full:
        view |= {
            "attempts": [attempt_view(attempt) for attempt in job.attempts],
            "image": {"key": job.image_key, "ref": spec.image, "id": job.image_id},
            "cpus": job.cpus,
            "memory": job.memory,
            "disk": job.disk,
            "gpu_shares": [hold.memory for hold in job.gpus] if spec.gpus.share else None,
            "not_before": _time(job.not_before or None),
            "retries_used": job.retries_used,
            "stop": job.stop
            and {"reason": str(job.stop.reason), "by": job.stop.by, "at": rfc3339(job.stop.at)},
            "end_text": job.end_reason and RULES[job.end_reason].text,
            "spec": spec.to_wire(),
        }
    return view


def _ran_before(job: Job) -> float:
    """Return the seconds that earlier attempts ran: they are no part of what it waited."""
    began = job.started_at
    earlier = (run for run in job.attempts if run.started_at is not None and run.started_at != began)
    return round(sum(max(0.0, run.ended_at - (run.started_at or 0.0)) for run in earlier), 3)


def attempt_view(attempt: Attempt) -> dict[str, Any]:
    """Return one attempt as the API shows it."""
    return {
        "number": attempt.number,
        "node": attempt.node,
        "gpus": list(attempt.gpus),
        "started_at": _time(attempt.started_at),
        "ended_at": rfc3339(attempt.ended_at),
        "exit_code": attempt.exit_code,
        "end_reason": str(attempt.reason),
        "verdict": attempt.verdict,
    }


def node_view(
    node: Node,
    readings: Mapping[str, Any],
    holders: Mapping[str, Sequence[Job]],
    now: float,
    server: str = "",
) -> dict[str, Any]:
    """Return a node with its GPUs as the API shows it.

    Args:
        node: the record.
        readings: the agent's latest, ``{"gpus": {uuid: {"memory_used", "utilization", "temperature", …}}}``.
        holders: jobs that hold this node, by GPU uuid; key "" = all jobs that hold the node.
        now: seconds since the epoch.
        server: version of the server that shows it; "" = it does not say.
    """
    jobs = holders.get("", ())
    readings = fresh_readings(node, readings, now)
    state = "up" if node.takes_work(now) else "drained" if node.alive and node.drained else "lost"
    if node.alive and state == "lost":
        state = "silent"
    slots = {gpu.uuid: gpu.slot for gpu in node.gpus}
    return {
        "name": node.name,
        "state": state,
        "reason": node.drained,
        "heartbeat": _time(node.heartbeat or None),
        "cpus": node.cpus,
        "cpus_held": round(sum(job.cpus or 0 for job in jobs), 2),
        "memory": node.memory,
        "memory_held": sum(job.memory or 0 for job in jobs),
        "disk": node.disk,
        "disk_held": sum(job.disk or 0 for job in jobs),
        "labels": dict(node.labels),
        "version": node.version,
        "behind": is_older(node.version, server),
        "facts": dict(node.facts),
        "jobs": [job.id for job in jobs if job.state in HOLDING],
        "gpus": [gpu_view(node, index, readings, holders) for index in range(len(node.gpus))],
        "near": {
            tie: [[slots[uuid] for uuid in group] for group in groups]
            for tie, groups in node.near.among(slots).to_wire().items()
        },
    }


def fresh_readings(node: Node, readings: Mapping[str, Any], now: float) -> Mapping[str, Any]:
    """Return the readings of a node that is heard; none of one that is silent: they say nothing any more."""
    return readings if now - node.heartbeat < STALE_AFTER else {}


def gpu_view(
    node: Node, position: int, readings: Mapping[str, Any], holders: Mapping[str, Sequence[Job]]
) -> dict[str, Any]:
    """Return one GPU as the API shows it: what it is, what it does, who holds it.

    ``state`` is free, reserved (leased, and no process yet), held (and it does nothing), busy or lost; for GPUs that
    nobody measures (simulated ones) it is held as soon as a job runs. ``outside`` lists who holds it outside the
    queue; ``holders`` are jobs.
    """
    gpu = node.gpus[position]
    reading = readings.get("gpus", {}).get(gpu.uuid, {})
    return {
        "node": node.name,
        "index": gpu.index,
        "slot": gpu.slot,
        "uuid": gpu.uuid,
        "model": gpu.model,
        "memory": gpu.memory,
        "simulated": gpu.simulated,
        "fault": gpu.fault,
        "memory_used": reading.get("memory_used"),
        "utilization": reading.get("utilization"),
        "temperature": reading.get("temperature"),
        "power": reading.get("power"),
        "state": _gpu_state(gpu, reading, holders.get(gpu.uuid, ())),
        "outside": [
            _outside(each)
            for each in reading.get("holders", ())
            if not each.get("job")
            or (each.get("processes") and each["job"] not in {job.id for job in holders.get(gpu.uuid, ())})
        ],
        "holders": [
            {
                "job": job.id,
                "name": job.spec.name,
                "owner": job.owner,
                "state": str(job.state),
                "since": _time(job.started_at),
                "share": next((hold.memory for hold in job.gpus if hold.uuid == gpu.uuid), 0) or None,
            }
            for job in holders.get(gpu.uuid, ())
        ],
    }


def _gpu_state(gpu: Gpu, reading: Mapping[str, Any], jobs: Sequence[Job]) -> str:
    if gpu.fault:
        return "lost"
    if "state" in reading:
        # A heartbeat is up to 2 s older than the lease that it does not know yet.
        return "reserved" if reading["state"] == "free" and jobs else str(reading["state"])
    if any(job.started_at is not None for job in jobs):
        return "held"
    return "reserved" if jobs else "free"


def _outside(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "user": holder.get("user"),
        "job": holder.get("job") or None,
        "source": holder.get("source"),
        "container": holder.get("container") or None,
        "since": _time(holder.get("since")),
        "memory": holder.get("memory"),
        "processes": holder.get("processes", 0),
        "busy": bool(holder.get("busy")),
        "disputed": holder.get("disputed") or None,
    }


def _time(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)
