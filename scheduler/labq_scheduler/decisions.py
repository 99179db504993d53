"""What a decision may say: values, each with the sentence that its owner reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labq.ending import EndReason
from labq.job import Job
from labq_scheduler.policy.reserve import Reservation
from labq_scheduler.policy.room import Fit, Room
from labq_scheduler.snapshot import ClassKey


@dataclass(frozen=True, slots=True)
class Start:
    """Lease these resources to the job and tell the node to start it."""

    job: Job
    node: str
    fit: Fit
    why: str
    #: further nodes: only the gangs of simulations have them
    more: tuple[tuple[str, Fit], ...] = ()


@dataclass(frozen=True, slots=True)
class Prepare:
    """Let a node build or pull an image, before any GPU is held."""

    key: str
    node: str
    #: a job whose spec says how
    job: str
    why: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The job can never start: it ends here."""

    job: Job
    reason: EndReason
    why: str


@dataclass(frozen=True, slots=True)
class Preempt:
    """Stop the job (SIGTERM, its grace, SIGKILL) and queue it again, so that another fits where it runs."""

    job: Job
    for_job: Job
    why: str


@dataclass(frozen=True, slots=True)
class Decisions:
    """The outcome of one pass."""

    starts: tuple[Start, ...] = ()
    prepares: tuple[Prepare, ...] = ()
    refusals: tuple[Refuse, ...] = ()
    reservation: Reservation | None = None
    #: why the first of a class waits, where the pass itself found it; policy/why.py knows the rest
    said: Mapping[ClassKey, str] = field(default_factory=dict)
    #: what is free on each node that takes work, after the starts
    rooms: Mapping[str, Room] = field(default_factory=dict)
    preempts: tuple[Preempt, ...] = ()
