"""Containers + leases + what is in work -> what is to be done. Pure.

A lease is the permission for a container to exist. The caller lists the containers first and reads the leases
after: a container that was there had its lease then, so one without a lease has lost it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labq.ids import sort_key


@dataclass(frozen=True, slots=True)
class Found:
    """A container of this node."""

    id: str
    lease: str
    job: str
    attempt: int
    #: the engine's word
    status: str
    #: made by this agent (by an earlier process of it); False = another lab's node of the same name
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Working:
    """An attempt that a thread of this agent works on."""

    lease: str
    #: "" = not created yet
    container: str
    #: its end is being told, its container removed: nobody else touches it
    closing: bool = False


@dataclass(frozen=True, slots=True)
class Adopt:
    """Go on with a container that nobody follows."""

    found: Found


@dataclass(frozen=True, slots=True)
class Discard:
    """Stop and remove a container that has no lease, or that is a second one under its lease."""

    found: Found


@dataclass(frozen=True, slots=True)
class Fence:
    """Stop what a thread of ours follows: its lease has gone."""

    lease: str


@dataclass(frozen=True, slots=True)
class Recover:
    """Start, or end as lost, a lease that has no container and that nobody works on."""

    lease: str
    job: str


Action = Adopt | Discard | Fence | Recover
_ORDER = {"running": 0, "paused": 1, "exited": 2, "dead": 3, "created": 4}


def plan_reconcile(
    found: Iterable[Found],
    leases: Mapping[str, str],
    working: Iterable[Working],
    suspects: frozenset[str] = frozenset(),
    *,
    sure: bool = False,
) -> tuple[list[Action], frozenset[str]]:
    """Return what is to be done, and the leases that were missed for the first time.

    Args:
        found: containers of this node.
        leases: live leases of this node, token to job id; read after the containers were listed.
        working: what this agent works on.
        suspects: what the plan before missed. What is stopped is stopped on the second sight: a store that was
            just restored, or a slow replica, must not cost somebody's week of training.
        sure: stop at first sight; at the start of an agent, which must not run what is no longer its own.
    """
    in_work = {each.lease: each for each in working}
    actions: list[Action] = []
    missed: set[str] = set()
    under_lease: set[str] = set()
    for each in sorted(found, key=lambda one: (_ORDER.get(one.status, 9), one.id)):
        worker = in_work.get(each.lease)
        if each.lease in leases:
            second = each.lease in under_lease
            under_lease.add(each.lease)
            if worker is None:
                actions.append(Discard(each) if second else Adopt(each))
            elif worker.container and worker.container != each.id and not worker.closing:
                actions.append(Discard(each))
        elif worker is None and each.ours:
            if sure or each.lease in suspects:
                actions.append(Discard(each))
            else:
                missed.add(each.lease)
    for worker in in_work.values():
        if worker.lease not in leases and not worker.closing:
            if sure or worker.lease in suspects:
                actions.append(Fence(worker.lease))
            else:
                missed.add(worker.lease)
    actions += [
        Recover(lease, job)
        for lease, job in sorted(leases.items(), key=lambda item: sort_key(item[1]))  # in order of arrival
        if lease not in in_work and lease not in under_lease
    ]
    return actions, frozenset(missed)
