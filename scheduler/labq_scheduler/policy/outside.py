"""Use of GPUs that the queue did not start: busy for the queue, and whose it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labq.holding.facts import UNKNOWN
from labq.node import Node
from labq.units import about_duration


@dataclass(frozen=True, slots=True)
class Outside:
    """Somebody who holds a GPU outside the queue."""

    user: str
    #: name of the container; "" = none
    container: str = ""
    #: seconds since the epoch; None = not known
    since: float | None = None


#: node name -> GPU uuid -> who
OutsideUse = Mapping[str, Mapping[str, Sequence[Outside]]]


def outside_use(nodes: Iterable[tuple[Node, Mapping[str, Any]]]) -> dict[str, dict[str, tuple[Outside, ...]]]:
    """Return who holds which GPU outside the queue, as the nodes' latest heartbeats say.

    Args:
        nodes: with their readings (``labq_worker.gpu_health.reading`` by GPU uuid).
    """
    found: dict[str, dict[str, tuple[Outside, ...]]] = {}
    for node, readings in nodes:
        for uuid, said in readings.get("gpus", {}).items():
            who = tuple(
                Outside(str(each.get("user", UNKNOWN)), str(each.get("container", "")), each.get("since"))
                for each in said.get("holders", ())
                if not each.get("job")
            )
            if who:
                found.setdefault(node.name, {})[uuid] = who
    return found


def outside_text(slot: str, who: Sequence[Outside], now: float) -> str:
    """Return a clause such as ``GPU 1 is used outside the queue by bob (container web, for 3 h)``."""
    first = who[0]
    about = [f"container {first.container}"] if first.container else []
    if first.since is not None:
        about.append(f"for {about_duration(max(0.0, now - first.since))}")
    name = "somebody unknown" if first.user == UNKNOWN else first.user
    more = f" and {len(who) - 1} more" if len(who) > 1 else ""
    detail = f" ({', '.join(about)})" if about else ""
    return f"GPU {slot} is used outside the queue by {name}{detail}{more}"
