"""Which GPUs of a node are near each other, as its driver tells. Pure.

Two questions, each with groups of GPUs in which all are so to each other; groups may overlap, since NVLink may join A with
B and B with C, but not A with C:

    nvlink   joined by NVLink, directly or through NVSwitch
    switch   below one PCIe switch (or one chain of them): what they send each other does not pass a processor
    numa     at one processor, or one part of it: what they send each other does not leave it

A pair in no group is far apart, or nobody knows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: Machines have up to 16 GPUs; of one with more nothing is known, so that no node can make the comparing of sets slow.
MOST_GPUS = 16
#: Groups of one kind that are believed; a DGX-1, whose NVLinks are the oddest, has 6.
_MOST_GROUPS = 64


class Tie(StrEnum):
    """What makes GPUs near."""

    NVLINK = "nvlink"
    SWITCH = "switch"
    NUMA = "numa"


#: What each adds to how near a pair is: NVLink counts more than where the cards sit.
NEARER = {Tie.NVLINK: 3, Tie.SWITCH: 2, Tie.NUMA: 1}
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Groups of GPUs, by uuid. Its hash is kept: who places jobs looks it up thousands of times."""

    groups: tuple[tuple[Tie, tuple[str, ...]], ...] = ()
    _hash: int = field(default=0, init=False, repr=False, compare=False)
    _near: dict[Pair, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.groups))

    def __hash__(self) -> int:
        return self._hash

    def near(self, one: str, other: str) -> int:
        """Return how near two GPUs are, from 0 (far, or not known) to 5 (NVLink and one PCIe switch)."""
        if not self._near and self.groups:
            self._near.update(_pairs(self.groups))
        return self._near.get((one, other), 0)

    def among(self, uuids: Collection[str]) -> Neighbours:
        """Return what is known of these GPUs only."""
        groups = ((tie, tuple(uuid for uuid in group if uuid in uuids)) for tie, group in self.groups)
        return Neighbours(tuple(row for row in groups if len(row[1]) > 1))

    def to_wire(self) -> dict[str, list[list[str]]]:
        """Return the JSON form: groups of uuids by what makes them near."""
        out: dict[str, list[list[str]]] = {}
        for tie, group in self.groups:
            out.setdefault(str(tie), []).append(list(group))
        return out

    @staticmethod
    def from_wire(body: Any, known: Collection[str]) -> Neighbours:
        """Return what ``body`` (of :meth:`to_wire`) says; nothing is known where it makes no sense.

        Args:
            body: from a node, which may be of another version, or lie.
            known: uuids of the node's GPUs; others are left out.
        """
        if not isinstance(body, Mapping) or not 1 < len(known) <= MOST_GPUS:
            return Neighbours()
        found = []
        for tie in Tie:
            said = body.get(tie, [])
            if not isinstance(said, list) or len(said) > _MOST_GROUPS:
                return Neighbours()
            for group in said:
                if (
                    not isinstance(group, list)
                    or len(group) > MOST_GPUS
                    or not all(isinstance(uuid, str) for uuid in group)
                ):
                    return Neighbours()
                # each once, in the order of the node's GPUs: the same picture is the same value
                names = set(group)
                members = tuple(uuid for uuid in known if uuid in names)
                if len(members) > 1:
                    found.append((tie, members))
        return Neighbours(tuple(dict.fromkeys(found)))


def neighbours_of(uuids: Iterable[str], ties: Mapping[Tie, Collection[Pair]]) -> Neighbours:
    """Return the groups that say all these pairs, and no other.

    Args:
        uuids: the GPUs of the node, in its order.
        ties: pairs that are near each other, by what makes them so; the order in a pair means nothing.
    """
    order = list(uuids)
    below: set[Pair] = set()
    groups: list[tuple[Tie, tuple[str, ...]]] = []
    for tie in Tie:
        pairs = {pair for one, other in ties.get(tie, ()) for pair in ((one, other), (other, one))}
        # One processor goes without saying below one switch.
        said = set(below) if tie is Tie.NUMA else set()
        linked = pairs | said
        for place, one in enumerate(order):
            for other in order[place + 1 :]:
                if (one, other) in pairs and (one, other) not in said:
                    group = _grown([one, other], order, linked)
                    said |= {(a, b) for a in group for b in group if a != b}
                    groups.append((tie, tuple(uuid for uuid in order if uuid in group)))
        if tie is Tie.SWITCH:
            below = pairs
    return Neighbours(tuple(groups))


def _grown(group: list[str], order: Iterable[str], linked: Collection[Pair]) -> list[str]:
    """Add all that are tied to each of the group."""
    for uuid in order:
        if uuid not in group and all((uuid, member) in linked for member in group):
            group = [*group, uuid]
    return group


def _pairs(groups: Iterable[tuple[Tie, tuple[str, ...]]]) -> dict[Pair, int]:
    ties: dict[Pair, set[Tie]] = {}
    for tie, group in groups:
        for one in group:
            for other in group:
                if one != other:
                    ties.setdefault((one, other), set()).add(tie)
    return {
        pair: (NEARER[Tie.NVLINK] if Tie.NVLINK in found else 0)
        + max((NEARER[tie] for tie in found if tie is not Tie.NVLINK), default=0)
        for pair, found in ties.items()
    }


def in_words(near: int) -> str:
    """Return what a nearness (:meth:`Neighbours.near`) of all of some GPUs is called; "" when they are far apart."""
    if near >= NEARER[Tie.NVLINK]:
        return "joined by NVLink"
    return {2: "on one PCIe switch", 1: "on one NUMA node"}.get(near, "")
