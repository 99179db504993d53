"""Which of a node's free GPUs a job gets, where its driver tells which are near each other. Pure.

Among GPUs that are as good for the job in every other way:
    1. the pair that is farthest apart is as near as can be: one slow way slows all
    2. the more pairs are near: NVLink first, then one switch, then one NUMA node
    3. what is left is torn apart the least: a single GPU comes from a pair of which one is busy already
    4. the order of the GPUs on the node, so that the result is deterministic
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from math import comb

from labq.neighbours import MOST_GPUS, Neighbours

#: Sets that are all compared; where there are more (8 of 16 GPUs: 12,870), a set grows from each GPU by what is nearest.
TRIES = 256
#: A pair that is nearer by one step counts more than all pairs of a node that are not.
STEP = MOST_GPUS * MOST_GPUS
#: What a pair counts, by its nearness.
WEIGHT = (0, *(STEP**step for step in range(5)))


def nearest(
    near: Neighbours, sure: Sequence[str], pool: Sequence[str], others: Iterable[str], count: int
) -> tuple[str, ...]:
    """Return which ``count`` of ``pool`` a job gets, in the pool's order.

    Args:
        near: which GPUs of the node are near each other.
        sure: GPUs that it gets besides.
        pool: GPUs that are as good for it, in the order of the node.
        others: further GPUs of the node that are free.
        count: how many, at most as many as there are in the pool.
    """
    return _nearest(near, tuple(sure), tuple(pool), tuple(others), count)


@lru_cache(maxsize=16384)
def together(near: Neighbours, uuids: tuple[str, ...]) -> int:
    """Return how near the two of these GPUs are that are farthest apart; 0 for one alone."""
    return min((near.near(one, other) for one, other in combinations(uuids, 2)), default=0)


@lru_cache(maxsize=16384)
def torn(near: Neighbours, taken: frozenset[str], left: frozenset[str]) -> int:
    """Return how much is torn apart when ``taken`` are used and ``left`` stay free."""
    return sum(WEIGHT[near.near(one, other)] for one in taken for other in left)


@lru_cache(maxsize=16384)
def _nearest(
    near: Neighbours, sure: tuple[str, ...], pool: tuple[str, ...], others: tuple[str, ...], count: int
) -> tuple[str, ...]:
    every = (*sure, *pool, *others)
    table = tuple(tuple(near.near(one, other) for other in every) for one in every)
    chosen = _chosen(table, len(sure), len(pool), count)
    return tuple(every[place] for place in chosen)


@lru_cache(maxsize=4096)
def _chosen(table: tuple[tuple[int, ...], ...], sure: int, pool: int, count: int) -> tuple[int, ...]:
    """Return the places of the GPUs chosen. Nodes that are built alike share what was found out.

    Args:
        table: how near each GPU is to each: first those that are sure, then the pool, then others.
        sure: how many are sure.
        pool: how many there are to choose from.
        count: how many are chosen.
    """
    begin, end, size = sure, sure + pool, len(table)
    weights = [[WEIGHT[near] for near in row] for row in table]
    if len({near for place, row in enumerate(table) for near in (*row[:place], *row[place + 1 :])}) < 2:
        return tuple(range(begin, begin + count))  # as where NVSwitch joins all
    # what each has around it that is free: where two of them are chosen, what ties them is not torn
    around = [sum(row[begin:]) for row in weights]

    def rank(chosen: Sequence[int]) -> tuple[int, int, int, tuple[int, ...]]:
        got = (*range(sure), *chosen)
        far = min((table[one][other] for one, other in combinations(got, 2)), default=0)
        tied = sum(weights[one][other] for one, other in combinations(got, 2))
        kept = sum(weights[one][other] for one, other in combinations(chosen, 2))
        return -far, -tied, sum(around[place] for place in chosen) - 2 * kept, tuple(sorted(chosen))

    if comb(pool, count) <= TRIES:
        return min(combinations(range(begin, end), count), key=rank)
    best = None
    for first in range(begin, end):
        chosen, left = [first], [place for place in range(begin, end) if place != first]
        # of each GPU of the node: how far it is from what it would join, and what ties it to that
        far = [min((table[place][one] for one in (*range(sure), first)), default=0) for place in range(size)]
        tied = [sum(weights[place][one] for one in (*range(sure), first)) for place in range(size)]
        while len(chosen) < count:
            new = min(left, key=lambda place: (-far[place], -tied[place], around[place], place))
            chosen.append(new)
            left.remove(new)
            for place in left:
                far[place] = min(far[place], table[place][new])
                tied[place] += weights[place][new]
        found = rank(chosen)
        best = found if best is None else min(best, found)
    assert best is not None  # noqa: S101 # one has more than TRIES sets only of a pool that is not empty
    return best[3]
