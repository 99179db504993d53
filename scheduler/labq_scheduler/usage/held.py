"""How many GPUs a lease counts as. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labq.job import Attempt, GpuHold, Job
from labq.node import Gpu, Node
from labq_scheduler.policy.parts import part_of


def cards_of(nodes: Iterable[Node]) -> dict[str, Gpu]:
    """Return the cards of nodes by uuid."""
    return {gpu.uuid: gpu for node in nodes for gpu in node.gpus}


def gpus_held(holds: Iterable[GpuHold], cards: Mapping[str, Gpu]) -> float:
    """Return the GPUs that a lease holds, as policy/parts.py counts them."""
    return sum((part_of(hold, cards[hold.uuid].memory if hold.uuid in cards else 0) for hold in holds), 0.0)


def holds_of(job: Job, attempt: Attempt) -> tuple[GpuHold, ...]:
    """Return what a run that is over held; it asked for as much as every run of its job."""
    return tuple(GpuHold(uuid, job.spec.gpus.share) for uuid in attempt.gpus)


def model_of(holds: Iterable[GpuHold], cards: Mapping[str, Gpu]) -> str:
    """Return the model of the first card of a lease; "" when it holds none or the card is not known."""
    first = next(iter(holds), None)
    card = cards.get(first.uuid) if first is not None else None
    return card.model if card is not None else ""
