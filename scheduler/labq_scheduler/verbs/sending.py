"""Sending: may this agent send that file? What its node holds or held, and the logs of what it built; and what it is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labq.earlier_outputs import earlier_outputs
from labq.errors import NotAllowedError, NotFoundError
from labq.job import Job
from labq.node import AGENT_PREFIX
from labq.store import Person
from labq_scheduler.files.outputs import pieces_of_file, tar_of_directory
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.show import find


def require_sender(lab: Lab, agent: Person, job_id: str, attempt: int) -> None:
    """Do nothing when the attempt is or was on the agent's node.

    Tokens that are bound to no node (``labq up``'s own agent, tokens made by hand) may send anything, as agents do.

    Raises:
        NotAllowedError: it ran elsewhere, or never.
        NotFoundError: there is no such job.
    """
    node = _node_of(agent)
    # The board first: a log grows many times a second, and costs Redis nothing.
    if node is None or _was_on(lab.board.get(job_id), attempt, node):
        return
    if not _was_on(find(lab, job_id), attempt, node):
        raise NotAllowedError(
            f"attempt {attempt} of job {job_id} is not on {node} and was not",
            "an agent sends what ran on its own node, with that node's token (LABQ_NODE_TOKEN)",
        )


def require_log_sender(lab: Lab, agent: Person, path: str) -> None:
    """Do nothing when the log's path is one of an attempt on the agent's node, or of an image that it prepared.

    Args:
        lab: the parts.
        agent: who sends.
        path: legal, below ``logs/``.

    Raises:
        NotAllowedError: it is another node's.
        NotFoundError: there is no such job.
    """
    folder, _, name = path.removesuffix(".labqlog").rpartition("/")
    if folder != "images":
        require_sender(lab, agent, folder, int(name))
        return
    node = _node_of(agent)
    if node is not None and not re.fullmatch(rf".+@{re.escape(node)}-\d+", name):
        raise NotAllowedError(f"log {path[:200]!r} is not of {node}", "an agent sends logs of its own builds")


def earlier(lab: Lab, job_id: str, number: int) -> tuple[int, Iterator[bytes], int | None]:
    """Return with which earlier attempt's outputs an attempt begins, as a tar, and its bytes as far as they are known.

    Raises:
        NotFoundError: with none, or there is no such job.
    """
    found = earlier_outputs(find(lab, job_id), number, lab.files.outputs / job_id)
    if found is None:
        raise NotFoundError(f"attempt {number} of job {job_id} begins with an empty /outputs")
    run, path = found
    if path.is_dir():
        return run.number, tar_of_directory(path), None
    return run.number, pieces_of_file(path), path.stat().st_size


def _node_of(agent: Person) -> str | None:
    return agent.name.removeprefix(AGENT_PREFIX) if agent.name.startswith(AGENT_PREFIX) else None


def _was_on(job: Job | None, attempt: int, node: str) -> bool:
    if job is None:
        return False
    return (job.attempt == attempt and job.node == node) or any(
        each.number == attempt and each.node == node for each in job.attempts
    )
