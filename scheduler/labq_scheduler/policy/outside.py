"""Use of GPUs that the queue did not start: busy for the queue, and whose it is. Pure.

A real GPU of which the node's heartbeat says nothing (its agent has just started, its driver hangs) is not free either:
nobody knows. Nor is one on which processes of a job linger that has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labq.holding.facts import UNKNOWN
from labq.job import Job
from labq.node import Gpu, Node
from labq.units import about_duration

#: Seconds after the end of a job in which its processes may still be listed: drivers take a moment, and a heartbeat is
#: 2 s old.
LINGER = 10.0


@dataclass(frozen=True, slots=True)
class Outside:
    """Somebody who holds a GPU outside the queue."""

    #: "" = nobody has looked
    user: str
    #: name of the container; "" = none
    container: str = ""
    #: seconds since the epoch; None = not known
    since: float | None = None
    #: a job that has ended and whose processes are still there; "" = none
    job: str = ""


#: node name -> GPU uuid -> who
OutsideUse = Mapping[str, Mapping[str, Sequence[Outside]]]
UNSEEN = (Outside(""),)


def outside_use(
    nodes: Iterable[tuple[Node, Mapping[str, Any]]], job: Callable[[str], Job | None], now: float
) -> dict[str, dict[str, tuple[Outside, ...]]]:
    """Return who holds which GPU outside the queue, as the nodes' latest heartbeats say.

    Args:
        nodes: with their readings (labq/readings.py).
        job: the present record of a job; None = it is long gone.
        now: seconds since the epoch.
    """
    found: dict[str, dict[str, tuple[Outside, ...]]] = {}
    for node, readings in nodes:
        said = readings.get("gpus", {})
        for gpu in node.gpus:
            who = _on_one(node, gpu, said.get(gpu.uuid), job, now)
            if who:
                found.setdefault(node.name, {})[gpu.uuid] = who
    return found


def _on_one(
    node: Node, gpu: Gpu, said: Mapping[str, Any] | None, job: Callable[[str], Job | None], now: float
) -> tuple[Outside, ...]:
    if said is None:
        # Nobody asks a GPU that is made up.
        return () if gpu.simulated else UNSEEN
    return tuple(
        Outside(each.get("user", UNKNOWN), each.get("container", ""), each.get("since"), each.get("job", ""))
        for each in said.get("holders", ())
        if not each.get("job") or (each.get("processes") and _is_over(each["job"], node, gpu, job, now))
    )


def _is_over(job_id: str, node: Node, gpu: Gpu, job: Callable[[str], Job | None], now: float) -> bool:
    """Return whether a job has no right to this GPU any more, and had time to leave it."""
    found = job(job_id)
    if found is None:
        return True
    if (
        found.lease is not None
        and found.node == node.name
        and any(hold.uuid == gpu.uuid for hold in found.gpus)
    ):
        return False
    ended = found.attempts[-1].ended_at if found.attempts else found.ended_at
    return ended is None or now - ended > LINGER


def outside_text(slot: str, who: Sequence[Outside], now: float) -> str:
    """Return a clause such as ``GPU 1 is used outside the queue by bob (container web, for 3 h)``."""
    first = who[0]
    if not first.user:
        return f"what GPU {slot} does is not known yet (its agent has just started, or its driver does not answer)"
    if first.job:
        return f"job {first.job} is over, but its processes or its memory are still on GPU {slot}; it may need a reset"
    about = [f"container {first.container}"] if first.container else []
    if first.since is not None:
        about.append(f"for {about_duration(max(0.0, now - first.since))}")
    name = "somebody unknown" if first.user == UNKNOWN else first.user
    more = f" and {len(who) - 1} more" if len(who) > 1 else ""
    detail = f" ({', '.join(about)})" if about else ""
    return f"GPU {slot} is used outside the queue by {name}{detail}{more}"
