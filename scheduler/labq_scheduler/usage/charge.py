"""Decayed GPU-seconds: what somebody used counts for less and less. Pure.

A second of one GPU that was used ``t`` seconds ago is worth ``2^(-t/h)`` seconds now, where ``h`` is the half-life:
the exponential decay of Slurm's multifactor priority (``PriorityDecayHalfLife``), but continuous. Its integral over
a use of ``w`` GPUs from ``a`` to ``b`` is

    w · h/ln 2 · (2^(-(now-b)/h) - 2^(-(now-a)/h))

so that a use need not be looked at again while it fades: its worth now is its worth then times ``2^(-(now-then)/h)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, expm1, log

#: After so many half-lives a use is worth less than a thousandth of what it was, and is forgotten.
HALF_LIVES = 10


@dataclass(frozen=True, slots=True)
class Run:
    """One use of GPUs by one person."""

    user: str
    #: name of the card; "" = not known
    model: str
    #: how many; a share counts as its part
    gpus: float
    #: seconds since the epoch
    start: float
    end: float


def fading(seconds: float, half_life: float) -> float:
    """Return what is left of 1 after ``seconds``."""
    return exp(-seconds * log(2) / half_life)


def worth(gpus: float, start: float, end: float, *, now: float, half_life: float) -> float:
    """Return the GPU-seconds that holding ``gpus`` from ``start`` to ``end`` is worth at ``now``.

    All times in seconds; what lies after ``now`` counts nothing.
    """
    end = min(end, now)
    if end <= start:
        return 0.0
    # 1 - 2^(-(b-a)/h) with expm1: the difference of two numbers near 1 would lose digits.
    grown = -expm1(-(end - start) * log(2) / half_life)
    return gpus * half_life / log(2) * fading(now - end, half_life) * grown


def spread(seconds: float, start: float, end: float, *, now: float, half_life: float) -> float:
    """Return what ``seconds`` of GPU, used evenly between ``start`` and ``end``, are worth at ``now``."""
    end = max(min(end, now), start + 1.0)
    return seconds / (end - start) * worth(1.0, start, end, now=max(now, end), half_life=half_life)
