"""How a container is stopped, as data. Pure."""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds between two SIGKILLs to a container that does not end (a process in an uninterruptible wait).
KILL_AGAIN = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One signal and when it is due."""

    #: seconds after now
    after: float
    signal: str


def stop_plan(grace: float, asked_at: float, now: float) -> tuple[Step, ...]:
    """Return the signals that a container which is to stop gets.

    SIGTERM at once, SIGKILL when the grace has passed since it was asked: an agent that was away in between
    gives the rest of the grace, at least a tenth of it, so that a checkpoint is still possible.

    Args:
        grace: seconds between the two.
        asked_at: when the stop was asked for, seconds since the epoch.
        now: seconds since the epoch.
    """
    left = min(grace, max(grace / 10, grace - max(0.0, now - asked_at)))
    return (Step(0.0, "SIGTERM"), Step(left, "SIGKILL"))
