"""Nodes that fell silent: unreachable is not dead until the grace has passed. Pure planning, thin I/O.

A lost node's leases are taken from it by moving its jobs; when it returns it finds its containers without a
lease and stops them before anything else.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Sequence

from labq import moves
from labq.ending import EndReason, Judgement
from labq.errors import LabqError, UnavailableError
from labq.job import Job
from labq.node import Node
from labq.store import FencedError, StaleError, Store
from labq.units import about_duration

log = logging.getLogger(__name__)


def silent_nodes(
    nodes: Iterable[Node], *, now: float, grace: float, watching_since: float, holding: Container[str] = ()
) -> list[Node]:
    """Return the nodes to declare lost.

    Args:
        nodes: all nodes.
        holding: names of nodes that jobs hold. One that is declared lost already and holds jobs still: whoever
            declared it died before it had moved them all.
        now: seconds since the epoch.
        grace: seconds of silence that are forgiven.
        watching_since: since when we could have heard it; after an outage of Redis everybody seems silent.
    """
    return [
        node
        for node in nodes
        if (node.alive or node.name in holding) and now - max(node.heartbeat, watching_since) > grace
    ]


def lose_node(node: Node, jobs: Sequence[Job], store: Store, *, now: float, fence: int) -> str:
    """Declare the node lost and give its jobs back to the queue or end them; return the last event's id."""
    silence = about_duration(now - node.heartbeat)
    log.warning("node %s is lost: silent for %s, %d jobs held it", node.name, silence, len(jobs))
    if node.alive:
        store.nodes.set_lost(node.name, now=now)
    event = store.events.last_id()
    for job in jobs:
        try:
            new = moves.ended(job, _judgement(job, node, silence), None, now)
            event = store.jobs.move(job, new, now=now, by="reaper", fence=fence)
        except StaleError as error:
            log.info("not applied: %s", error.what)
        except (FencedError, UnavailableError):
            raise
        except LabqError as error:
            log.warning("job %s cannot be taken from node %s: %s", job.id, node.name, error.what)
    return event


def _judgement(job: Job, node: Node, silence: str) -> Judgement:
    if job.stop is not None:
        return Judgement(
            job.stop.reason, f"Stopped by {job.stop.by}; its node {node.name} was lost meanwhile."
        )
    retry = "" if job.spec.retries else "; --retries 1 would have queued it again"
    text = f"Failed: its node {node.name} has been silent for {silence}{retry}."
    return Judgement(EndReason.NODE_LOST, text)
