"""Questions to NVIDIA's driver about GPUs two by two, for nvml.py: how near each other they are.

A driver that does not answer one of these tells nothing by that: consumer cards have no NVLink, instances (MIG) reach
nobody, virtual machines hide where their cards sit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pynvml

from labq.holding.nvml_questions import Questions
from labq.neighbours import Pair, Tie

#: nvml.h's NVML_NVLINK_DEVICE_TYPE_SWITCH and NVML_AFFINITY_SCOPE_NODE; older bindings have no names for them.
_SWITCH, _NODE = 2, 0
#: Words of 64 cores each: no machine of today has more than 4,096.
_CORES = 64
#: Stands for any NVSwitch: the GPUs of a machine that have links to one reach each other.
_AT_SWITCH = (-1, -1, -1)


@dataclass(slots=True)
class Ties:
    """What the driver told."""

    pairs: dict[Tie, set[Pair]] = field(default_factory=lambda: {tie: set() for tie in Tie})
    #: pairs of which it does not say where they sit
    unplaced: set[Pair] = field(default_factory=set)
    #: how many GPUs were asked about
    cards: int = 0


def ties(cards: Mapping[str, Any]) -> Ties:
    """Ask about each pair. May block for as long as the driver does.

    Args:
        cards: handles of whole GPUs by uuid.
    """
    found, ends = Ties(cards=len(cards)), _Ends(cards)
    for pair in combinations(cards, 2):
        one, other = (cards[uuid] for uuid in pair)
        if _linked(one, other, lambda pair=pair: ends.meet(*pair)):
            found.pairs[Tie.NVLINK].add(pair)
        level = Questions()("nvmlDeviceGetTopologyCommonAncestor", one, other)
        if level is None:
            alike = _same_cores(one, other)
            if alike is None:
                found.unplaced.add(pair)
            elif alike:
                found.pairs[Tie.NUMA].add(pair)
        elif level <= pynvml.NVML_TOPOLOGY_MULTIPLE:
            found.pairs[Tie.SWITCH].add(pair)
        elif level <= pynvml.NVML_TOPOLOGY_NODE:
            found.pairs[Tie.NUMA].add(pair)
    return found


def _linked(one: Any, other: Any, links_meet: Any) -> bool:
    # It counts NVSwitch, and knows of links that are up but may not be used (partitions, confidential computing).
    status = Questions()("nvmlDeviceGetP2PStatus", one, other, pynvml.NVML_P2P_CAPS_INDEX_NVLINK)
    if status is not None:
        return bool(status == pynvml.NVML_P2P_STATUS_OK)
    return bool(links_meet())


class _Ends:
    """Where the active NVLinks of cards end; each card is asked when that is first needed."""

    def __init__(self, cards: Mapping[str, Any]) -> None:
        self._cards = cards
        self._known: dict[str, set[tuple[int, int, int]]] = {}

    def meet(self, one: str, other: str) -> bool:
        first, second = self._of(one), self._of(other)
        # Each names the other's address; one side is enough, since the other may not be readable.
        reach = {_address(Questions()("nvmlDeviceGetPciInfo", self._cards[other]))} & first
        reach |= {_address(Questions()("nvmlDeviceGetPciInfo", self._cards[one]))} & second
        return bool(reach - {None}) or (_AT_SWITCH in first and _AT_SWITCH in second)

    def _of(self, uuid: str) -> set[tuple[int, int, int]]:
        if uuid not in self._known:
            card, ends = self._cards[uuid], set()
            for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
                if not Questions()("nvmlDeviceGetNvLinkState", card, link):
                    continue
                if Questions()("nvmlDeviceGetNvLinkRemoteDeviceType", card, link) == _SWITCH:
                    ends.add(_AT_SWITCH)
                elif at := _address(Questions()("nvmlDeviceGetNvLinkRemotePciInfo", card, link)):
                    ends.add(at)
            self._known[uuid] = ends
        return self._known[uuid]


def _address(pci: Any) -> tuple[int, int, int] | None:
    return None if pci is None else (int(pci.domain), int(pci.bus), int(pci.device))


def _same_cores(one: Any, other: Any) -> bool | None:
    """Return whether the same cores are nearest to both; None = it cannot say."""
    # Not NVML's NUMA node of a device: that is its own memory as a node of the machine (Grace), not where it sits.
    near = [Questions()("nvmlDeviceGetCpuAffinityWithinScope", card, _CORES, _NODE) for card in (one, other)]
    first, second = (None if cores is None else tuple(cores) for cores in near)
    return first == second if first and second and any(first) and any(second) else None
