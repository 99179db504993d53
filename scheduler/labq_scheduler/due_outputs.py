"""Jobs that wait for what their last attempt left, which will not come: they go on without it.

An agent that shares no files with the server sends the outputs after the end, and the next attempt begins with them. While the
agent lives it sends them, however long that takes; when its node is lost or gone, nobody does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from labq.job import Job
from labq.node import Node
from labq.store import Store

log = logging.getLogger(__name__)
#: Seconds after which outputs are given up though their node lives: its disk was made new, or the server's has been full
#: for so long. A day, so that somebody can have seen to it: without them hours of work are done again.
PATIENCE = 86_400.0


def given_up(
    jobs: Iterable[Job], nodes: Mapping[str, Node], *, now: float, watching_since: float
) -> list[Job]:
    """Return the jobs that wait in vain. Pure.

    Args:
        jobs: jobs that wait for something other than resources.
        nodes: all nodes, by name.
        now: seconds since the epoch.
        watching_since: since when agents could send anything, as far as is known.
    """
    found = []
    for job in jobs:
        if job.outputs_due is None:
            continue
        run = next((run for run in job.attempts if run.number == job.outputs_due), None)
        node = None if run is None else nodes.get(run.node)
        if (
            run is None
            or node is None
            or not node.alive
            or now - max(run.ended_at, watching_since) > PATIENCE
        ):
            found.append(job)
    return found


def give_up(
    jobs: Iterable[Job], nodes: Mapping[str, Node], store: Store, *, now: float, watching_since: float
) -> str:
    """Let those who wait in vain wait no longer; return the last event's id, "" = there was none.

    Raises:
        UnavailableError: Redis went away.
    """
    last = ""
    for job in given_up(jobs, nodes, now=now, watching_since=watching_since):
        log.warning("job %s: the outputs of attempt %s do not come any more", job.id, job.outputs_due)
        last = store.jobs.outputs_arrived(job.id, job.outputs_due or 0, now=now) or last
    return last
