"""The states of a job and the one table of legal moves.

Lives here: ``JobState``, ``MOVES``, ``check_move``, and the table as Lua text for the store's
compare-and-set (``moves_as_lua``) and as a diagram for the docs (``moves_as_mermaid``).
Must not live here: how a job ended (ending.py), or any I/O.
"""

from __future__ import annotations

from enum import StrEnum

from labq.errors import IllegalMoveError


class JobState(StrEnum):
    """Where a job is."""

    #: accepted, holds nothing
    QUEUED = "queued"
    #: holds its lease; the agent is creating the container
    STARTING = "starting"
    #: the container runs
    RUNNING = "running"
    #: SIGTERM was or will be sent; the container may still run
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: States in which a job holds a lease on a node.
HOLDING = frozenset({JobState.STARTING, JobState.RUNNING, JobState.STOPPING})
#: States that a job never leaves.
FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
#: States of a job that still has something to do.
ACTIVE = frozenset(JobState) - FINAL

_Q, _S, _R, _P = JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.STOPPING
_OK, _F, _C = JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED

#: Every legal move with the sentence that says when it happens. All else is refused.
MOVES: dict[tuple[JobState, JobState], str] = {
    (_Q, _S): "a node and GPUs were leased to it",
    (_Q, _F): "its image, its dependency or its request can never be had",
    (_Q, _C): "cancelled before it started",
    (_S, _R): "its container runs its first instruction",
    (_S, _Q): "the start was rejected or the node was lost",
    (_S, _P): "cancelled while its container was being made",
    (_S, _F): "its container cannot be started",
    (_R, _OK): "its command ended with exit code 0",
    (_R, _F): "its command failed, or its node or GPU was lost",
    (_R, _P): "cancelled, out of time or preempted: SIGTERM, grace, SIGKILL",
    (_R, _Q): "it failed or its node was lost, and it has retries left",
    (_P, _P): "cancelled while it was being stopped for another job: it does not come back",
    (_P, _C): "cancelled, and its container has ended",
    (_P, _F): "its time limit passed, and its container has ended",
    (_P, _OK): "its command had ended with exit code 0 before the stop reached it",
    (_P, _Q): "preempted or retried, and its container has ended",
}


def legal_moves(state: JobState) -> list[JobState]:
    """Return the states that a job in ``state`` may go to, in the order of the enum."""
    return [to for to in JobState if (state, to) in MOVES]


def check_move(job_id: str, state: JobState, to: JobState) -> None:
    """Do nothing when the move is legal.

    Raises:
        IllegalMoveError: when the table does not know it.
    """
    if (state, to) not in MOVES:
        legal = ", ".join(legal_moves(state)) or "none"
        raise IllegalMoveError(
            f"job {job_id}: {state} -> {to} is not a legal move (legal: {legal})",
            f"run `labq show {job_id}`; if its state is not {state}, retry the command",
        )


def moves_as_lua() -> str:
    """Return the table as a Lua table constructor, ``{["queued>starting"]=true, ...}``."""
    return "{" + ",".join(f'["{a}>{b}"]=true' for a, b in MOVES) + "}"


def moves_as_mermaid() -> str:
    """Return the table as a Mermaid state diagram for the architecture page."""
    lines = ["stateDiagram-v2", "    [*] --> queued: submitted"]
    lines += [f"    {a} --> {b}: {why}" for (a, b), why in MOVES.items()]
    lines += [f"    {state} --> [*]" for state in JobState if state in FINAL]
    return "\n".join(lines)
