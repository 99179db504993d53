"""The cores and the memory that a job gets on a node when its spec does not say. Pure.

A job without ``--cpus``/``--memory`` gets the same part of the node's cores and memory as of its GPUs,
so that as many such jobs fit as there are GPUs; a tenth is left for small jobs without GPUs, which would
otherwise have to wait for a whole-node job, and it for them. A job without GPUs gets one core and 4 GB
(a quarter of a smaller node).
"""

from __future__ import annotations

from typing import Protocol

from labq.gpu_request import GpuRequest
from labq.node import Node

DEFAULT_CPUS = 1.0
DEFAULT_MEMORY = 4 * 2**30
#: Part of cores and memory that GPU jobs share when they do not say how much they need.
GPU_JOBS_PART = 0.9


class Asks(Protocol):
    """What a job asks of a machine: a ``JobSpec``, or the part of it that decides where the job fits."""

    @property
    def gpus(self) -> GpuRequest:
        """Return the GPUs."""

    @property
    def cpus(self) -> float | None:
        """Return the cores; None = a fair part of the node."""

    @property
    def memory(self) -> int | None:
        """Return the bytes; None = a fair part of the node."""

    @property
    def disk(self) -> int | None:
        """Return the bytes of disk; None = not said, and not counted."""


def gpu_fraction(spec: Asks, node: Node) -> float:
    """Return the part of the node's GPUs that the spec asks for, 0 to 1 (more when it cannot fit)."""
    if not node.gpus or not spec.gpus.count:
        return 0.0
    if spec.gpus.share:
        return spec.gpus.share / max(1, sum(gpu.memory for gpu in node.gpus))
    return spec.gpus.count / len(node.gpus)


def resolve_cpus(spec: Asks, node: Node) -> float:
    """Return the cores that the job gets on this node."""
    if spec.cpus is not None:
        return spec.cpus
    part = gpu_fraction(spec, node)
    if part:
        return max(0.01, min(node.cpus, int(node.cpus * part * GPU_JOBS_PART * 100) / 100))
    return min(DEFAULT_CPUS, node.cpus)


def resolve_memory(spec: Asks, node: Node) -> int:
    """Return the bytes of main memory that the job gets on this node."""
    if spec.memory is not None:
        return spec.memory
    part = gpu_fraction(spec, node)
    if part:
        return min(node.memory, int(node.memory * part * GPU_JOBS_PART))
    return min(DEFAULT_MEMORY, node.memory // 4)
