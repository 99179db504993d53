"""The three functions that a message may name (labq/wire.py). Each hands over and returns at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from labq import wire


class Agent(Protocol):
    """What takes the messages."""

    def start_attempt(self, job_id: str, attempt: int, lease: str) -> None:
        """Begin to work on a lease."""

    def stop_attempt(self, job_id: str, attempt: int, lease: str) -> None:
        """Look whether the attempt is to stop, and stop it."""

    def prepare_image(self, key: str, job_id: str) -> None:
        """Begin to prepare an image."""


_agents: list[Agent] = []


def use(agent: Agent) -> None:
    """Let the functions of this process reach ``agent``."""
    _agents[:] = [agent]


def start_attempt(job_id: str, attempt: int, lease: str) -> None:
    """Start an attempt."""
    _agents[0].start_attempt(job_id, attempt, lease)


def stop_attempt(job_id: str, attempt: int, lease: str) -> None:
    """Stop an attempt, as the job's record says."""
    _agents[0].stop_attempt(job_id, attempt, lease)


def prepare_image(key: str, job_id: str) -> None:
    """Build or pull an image."""
    _agents[0].prepare_image(key, job_id)


#: What an agent obeys: the name in the message, the function, the types of its arguments.
OBEYED: dict[str, tuple[Callable[..., None], tuple[type, ...]]] = {
    wire.START: (start_attempt, (str, int, str)),
    wire.STOP: (stop_attempt, (str, int, str)),
    wire.PREPARE: (prepare_image, (str, str)),
}
