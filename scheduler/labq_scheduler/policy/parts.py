"""How many GPUs somebody holds or asks for, where one may be shared: the one rule for caps, fair share and usage. Pure.

A whole GPU counts as 1, a share as its part of the card's memory. A share of a card that is not known (its node is gone)
counts as 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labq.gpu_request import GpuRequest
from labq.job import GpuHold
from labq.node import Gpu


def part_of(hold: GpuHold, size: int) -> float:
    """Return how much of a GPU is held; ``size``: bytes of the card, 0 = it is not known."""
    return min(1.0, hold.memory / size) if hold.memory and size > 0 else 1.0


def gpus_of(holds: Iterable[GpuHold], sizes: Mapping[str, int]) -> float:
    """Return how many GPUs are held; ``sizes``: bytes of the cards by uuid."""
    return sum((part_of(hold, sizes.get(hold.uuid, 0)) for hold in holds), 0.0)


def most_of(request: GpuRequest, cards: Iterable[Gpu]) -> float:
    """Return how many GPUs a request will hold at most: of a share its part of the smallest of the cards that will do."""
    if not request.share:
        return float(request.count)
    sizes = [card.memory for card in cards if request.accepts(card.model, card.memory)]
    return min(1.0, request.share / min(sizes)) if sizes else 1.0
