"""Builders: a test shows only what matters to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from labq.ending import EndReason, StopRequest
from labq.image import Image, ImageOnNode, image_key
from labq.job import GpuHold, Job
from labq.node import Gpu, Node
from labq.spec import JobSpec
from labq.states import FINAL, HOLDING, JobState
from labq_scheduler.policy.runtimes import Estimator, Runtimes
from labq_scheduler.snapshot import Queue, Snapshot

GB = 2**30


def make_spec(**wire: Any) -> JobSpec:
    """Return a spec of an image; keywords are keys of the wire form."""
    return JobSpec.from_wire({"image": "busybox:latest", **wire})


def make_job(job_id: str = "1", state: JobState = JobState.QUEUED, **wire: Any) -> Job:
    """Return a job in ``state`` that satisfies its invariants; keywords are keys of the spec."""
    spec = make_spec(**wire)
    number = int(job_id.partition(".")[0])
    job = Job(
        id=job_id, owner="ann", uid=1000, gid=1000, spec=spec, state=state,
        submitted_at=1000.0 + number, seq=number, image_key=image_key(spec),
    )  # fmt: skip
    if state in HOLDING:
        job = replace(
            job, lease="lease-1", node="n1", gpus=(GpuHold("n1-0"),), cpus=1.0, memory=GB, attempt=1,
            started_at=None if state is JobState.STARTING else 2000.0,
        )  # fmt: skip
    if state is JobState.STOPPING:
        job = replace(job, stop=StopRequest(EndReason.CANCELLED_BY_USER, "ann", 2500.0))
    if state in FINAL:
        job = replace(job, ended_at=3000.0, end_reason=EndReason.COMPLETED, verdict="Over.", attempt=1)
    return job


def holding_job(job_id: str, node: str, *uuids: str, started_at: float = 0.0, **wire: Any) -> Job:
    """Return a running job that holds whole GPUs of a node."""
    job = make_job(job_id, JobState.RUNNING, gpus=str(len(uuids)), **wire)
    return replace(job, node=node, gpus=tuple(GpuHold(uuid) for uuid in uuids), started_at=started_at)


def make_node(
    name: str = "n1", *, gpus: int = 0, model: str = "NVIDIA GeForce RTX 4090", gpu_memory: int = 24 * GB,
    cpus: float = 16, memory: int = 64 * GB, heartbeat: float = 1e12, **labels: str,
) -> Node:  # fmt: skip
    """Return a node that takes work, with ``gpus`` equal cards named ``<name>-<index>``."""
    cards = tuple(Gpu(f"{name}-{i}", i, model, gpu_memory) for i in range(gpus))
    return Node(name, float(cpus), memory, cards, labels, heartbeat=heartbeat)


def free_readings(node: Node) -> dict[str, Any]:
    """Return what the heartbeat of a node says whose real GPUs nobody uses: without it nobody has looked at them."""
    return {"gpus": {gpu.uuid: {"state": "free", "memory_used": 0, "holders": []} for gpu in node.gpus}}


def make_snapshot(
    jobs: Sequence[Job],
    nodes: Sequence[Node],
    *,
    now: float = 10_000.0,
    running: Sequence[Job] = (),
    ready: bool = True,
    images: dict[str, Image] | None = None,
    held: Sequence[Job] = (),
    dependencies: dict[str, JobState | None] | None = None,
    usage: dict[str, float] | None = None,
    runtimes: Estimator | None = None,
) -> Snapshot:
    """Return the lab in which ``jobs`` are pending and (unless said otherwise) every image is everywhere."""
    holding: dict[str, tuple[Job, ...]] = {}
    for job in running:
        holding[job.node or ""] = (*holding.get(job.node or "", ()), job)
    everywhere = {node.name: ImageOnNode("ready", 0.0, "sha256:1") for node in nodes} if ready else {}
    found = (
        images if images is not None else {job.image_key: Image(job.image_key, everywhere) for job in jobs}
    )
    known = runtimes or Runtimes()
    return Snapshot(
        now, list(nodes), holding, Queue.of(jobs, known), list(held), dependencies or {}, found,
        usage=usage or {}, runtimes=known,
    )  # fmt: skip
