"""What the parts of one agent share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from labq.store import Store
from labq_worker.attempts import Attempts
from labq_worker.carrying import Carrier
from labq_worker.config import AgentConfig
from labq_worker.container_args import Host
from labq_worker.containers import Engine
from labq_worker.lease_notes import LeaseNotes
from labq_worker.paths import Paths
from labq_worker.places import PlaceMaker
from labq_worker.timers import Timers


class Shipping(Protocol):
    """Brings files to a server that does not read our disk."""

    @property
    def sends(self) -> bool:
        """Whether outputs have a way to go after the end of an attempt."""

    def grew(self, path: Path) -> None:
        """A log file has grown."""

    def finish_log(self, path: Path) -> None:
        """Return when the whole file is there, or when it takes too long (it is brought later)."""

    def outputs(self, job_id: str, attempt: int) -> None:
        """Bring the outputs of an attempt, now or as soon as the server answers."""


class NoShipping:
    """The server reads our disk: there is nothing to bring."""

    sends = False

    def grew(self, path: Path) -> None:
        """Do nothing."""

    def finish_log(self, path: Path) -> None:
        """Do nothing."""

    def outputs(self, job_id: str, attempt: int) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of one agent."""

    config: AgentConfig
    host: Host
    store: Store
    engine: Engine
    paths: Paths
    places: PlaceMaker
    attempts: Attempts
    timers: Timers
    shipping: Shipping
    carrier: Carrier
    notes: LeaseNotes
    #: image key -> the engine's id, as far as this agent has seen them
    image_ids: dict[str, str] = field(default_factory=dict)

    @property
    def by(self) -> str:
        """Return who moves jobs, for the event."""
        return f"agent {self.config.name}"
