"""The lab's own jobs and machines, as the server tells them, for a replay. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from labq.gpu_request import parse_gpus
from labq.node import Gpu, Node
from labq.spec import JobSpec
from labq.spec_values import moment
from labq_scheduler.simulate.traces import TraceJob


def past_jobs(rows: Sequence[Mapping[str, Any]]) -> list[TraceJob]:
    """Return the jobs of ``GET /v1/history`` in order of submission; the first comes at 0 seconds."""
    found = []
    for row in rows:
        asked = parse_gpus(row["gpus"])
        spec = JobSpec(
            image="simulated",
            gpus=asked,
            cpus=row["cpus"],
            memory=row["memory"],
            priority=row["priority"],
            nodes=tuple(row["nodes"]),
        )
        found.append(
            TraceJob(
                row["id"],
                row["user"],
                moment(row["submitted_at"]),
                max(1.0, float(row["seconds"])),
                asked.count,
                asked.models,
                row["time"],
                row["name"],
                spec,
            )
        )
    found.sort(key=lambda job: job.submitted)
    begin = found[0].submitted if found else 0.0
    return [replace(job, submitted=job.submitted - begin) for job in found]


def present_nodes(views: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Return the machines of ``GET /v1/nodes`` that take work; GPUs with a fault stay unused."""
    nodes = []
    for view in views:
        if view["state"] != "up":
            continue
        cards = tuple(
            Gpu(
                card["uuid"],
                int(card["index"]),
                card["model"],
                int(card["memory"]),
                True,
                card.get("fault") or "",
            )
            for card in view["gpus"]
        )
        labels = dict(view["labels"])
        nodes.append(
            Node(
                view["name"], float(view["cpus"]), int(view["memory"]), cards, labels, heartbeat=float("inf")
            )
        )
    return nodes
