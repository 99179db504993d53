"""What one decision sees: frozen at ``now``. Pure.

Pending jobs are grouped by *class*: jobs of one class ask for just the same, so when the first of them cannot
start, none can. The cost of a decision depends on the number of classes, not of jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from labq.gpu_request import GpuRequest
from labq.image import Image
from labq.job import Job
from labq.node import Node
from labq.spec import PRIORITIES, JobSpec
from labq.states import JobState
from labq_scheduler.policy.outside import OutsideUse


class ClassKey(NamedTuple):
    """What jobs of one class have in common."""

    #: 0 = the best priority
    rank: int
    gpus: GpuRequest
    cpus: float | None
    memory: int | None
    time: float | None
    grace: float
    nodes: tuple[str, ...]
    image_key: str


def class_key(spec: JobSpec, image_key: str) -> ClassKey:
    """Return the class of a job."""
    return ClassKey(
        PRIORITIES.index(spec.priority),
        spec.gpus,
        spec.cpus,
        spec.memory,
        spec.time,
        spec.grace,
        spec.nodes,
        image_key,
    )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The lab at one moment."""

    now: float
    nodes: Sequence[Node]
    #: by node name, the jobs that hold something there
    holding: Mapping[str, Sequence[Job]]
    #: by class, jobs that may start now, in order of arrival
    pending: Mapping[ClassKey, Sequence[Job]]
    #: jobs that wait for something other than resources
    held: Sequence[Job]
    #: states of the jobs and arrays that held jobs depend on; None = Redis and the records do not know it;
    #: without a key = they could not be asked
    dependencies: Mapping[str, JobState | None]
    images: Mapping[str, Image]
    #: who holds which GPU outside the queue
    outside: OutsideUse = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rules:
    """The site's rules. The policy's own file of rules is later work."""

    #: images that one node prepares at the same time; more wait
    prepares_per_node: int = 4
