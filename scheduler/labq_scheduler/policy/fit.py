"""Which nodes could ever hold a job, and what would be nearest when none could. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labq.errors import closest
from labq.gpu_request import GpuRequest
from labq.limits import resolve_cpus, resolve_memory
from labq.node import Node
from labq.spec import JobSpec
from labq.spec_values import LEAST_DISK
from labq.units import about_bytes
from labq_scheduler.policy.room import Room
from labq_scheduler.policy.shape import Shape


def constraints_hold(spec: JobSpec | Shape, node: Node) -> bool:
    """Return whether the node satisfies all of the job's constraints.

    Plain names are alternatives (``n1``, ``n2``: one of them); all other constraints must hold together.
    """
    names = [c for c in spec.nodes if "=" not in c and not c.startswith("!")]
    others = [c for c in spec.nodes if "=" in c or c.startswith("!")]
    return (not names or node.name in names) and all(node.matches(c) for c in others)


def could_hold(spec: JobSpec | Shape, node: Node) -> bool:
    """Return whether the job would fit on the node if nothing else ran there."""
    return constraints_hold(spec, node) and Room.empty(node).fit(spec) is not None


def nearest_fit(spec: JobSpec, nodes: Sequence[Node]) -> str | None:
    """Return None when some node could ever run the job, else one sentence: why not, and what would work."""
    if any(could_hold(spec, node) for node in nodes):
        return None
    allowed = [node for node in nodes if constraints_hold(spec, node)]
    if not allowed:
        return _nearest_node(spec, nodes)
    bare = replace(spec, cpus=0.01, memory=1, disk=None)
    fitting = [node for node in allowed if Room.empty(node).fit(bare)]
    if not fitting:
        return _nearest_gpus(spec.gpus, allowed)
    if spec.disk and (enough := [node for node in fitting if could_hold(replace(spec, disk=None), node)]):
        return _nearest_disk(spec.disk, enough, such="such " if len(enough) < len(nodes) else "")
    best = max(fitting, key=lambda node: (node.memory, node.cpus, node.name))
    wants = f"{resolve_cpus(spec, best):g} cores and {about_bytes(resolve_memory(spec, best))} of memory"
    has = f"{best.cpus:g} cores and {about_bytes(best.memory)}"
    such = "with such GPUs " if spec.gpus.count else ""
    return f"no node {such}has {wants}; the largest, {best.name}, has {has}"


def _nearest_disk(disk: int, nodes: Sequence[Node], such: str) -> str:
    most = max(nodes, key=lambda node: (node.disk or 0, node.name))
    if most.disk is None:
        return f"no {such}node tells how much disk jobs may use there; without --disk it would run"
    whole = f"{most.disk // 2**30}GB" if most.disk >= 2**30 else f"{most.disk // 2**20}MB"
    would = f"--disk {whole} would fit" if most.disk >= LEAST_DISK else "it is full"
    return f"no {such}node has {about_bytes(disk)} of disk for jobs; the largest, {most.name}, has {about_bytes(most.disk)}: {would}"


def _nearest_node(spec: JobSpec, nodes: Sequence[Node]) -> str:
    names = [node.name for node in nodes]
    labels = sorted({f"{key}={value}" for node in nodes for key, value in node.labels.items()})
    hints = []
    for wanted in spec.nodes:
        if not any(node.matches(wanted) for node in nodes):
            near = closest(wanted, labels if "=" in wanted else names)
            hints.append(f"did you mean {near}? " if near else "")
    return (
        f"no node satisfies {' '.join(spec.nodes)}; {''.join(hints)}nodes: {', '.join(names) or 'none'}; "
        f"labels: {', '.join(labels) or 'none'}"
    )


def _nearest_gpus(request: GpuRequest, nodes: Sequence[Node]) -> str:
    every = [gpu for node in nodes for gpu in node.gpus if not gpu.fault]
    if not every:
        return f"no node has GPUs, and the job asks for {request}; --gpus 0 would run"
    if request.share:
        most = max(every, key=lambda gpu: gpu.memory)
        return (
            f"no GPU has room for {request}; the largest is {most.model} with {about_bytes(most.memory)}: "
            f"--gpus share:{most.memory // 2**30}GB would fit"
        )
    matching = [gpu for gpu in every if request.accepts(gpu.model, gpu.memory)]
    if not matching:
        models = sorted({f"{gpu.model} ({about_bytes(gpu.memory)})" for gpu in every})
        return f"no GPU of this lab matches {request}; it has {', '.join(models)}"
    counts = {
        node.name: sum(request.accepts(gpu.model, gpu.memory) for gpu in node.gpus if not gpu.fault)
        for node in nodes
    }
    best = max(counts, key=lambda name: (counts[name], name))
    nearest = replace(request, count=counts[best])
    return (
        f"no single node has {request.count} GPUs that match {request}; the nearest is {best} "
        f"with {counts[best]}: --gpus '{nearest}' would fit"
    )
