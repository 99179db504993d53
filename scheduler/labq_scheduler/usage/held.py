"""How many GPUs a lease counts as. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labq.job import Attempt, GpuHold, Job
from labq.node import Gpu, Node


def cards_of(nodes: Iterable[Node]) -> dict[str, Gpu]:
    """Return the cards of nodes by uuid."""
    return {gpu.uuid: gpu for node in nodes for gpu in node.gpus}


def gpus_held(holds: Iterable[GpuHold], cards: Mapping[str, Gpu]) -> float:
    """Return the GPUs that a lease holds: a whole one is 1, a share its part of the card's memory.

    A share of a card that is not known (its node was removed) counts as 1.
    """
    return sum(_part(hold, cards) for hold in holds)


def holds_of(job: Job, attempt: Attempt) -> tuple[GpuHold, ...]:
    """Return what a run that is over held; it asked for as much as every run of its job."""
    return tuple(GpuHold(uuid, job.spec.gpus.share) for uuid in attempt.gpus)


def model_of(holds: Iterable[GpuHold], cards: Mapping[str, Gpu]) -> str:
    """Return the model of the first card of a lease; "" when it holds none or the card is not known."""
    first = next(iter(holds), None)
    card = cards.get(first.uuid) if first is not None else None
    return card.model if card is not None else ""


def _part(hold: GpuHold, cards: Mapping[str, Gpu]) -> float:
    card = cards.get(hold.uuid)
    if hold.memory == 0 or card is None or card.memory <= 0:
        return 1.0
    return min(1.0, hold.memory / card.memory)
