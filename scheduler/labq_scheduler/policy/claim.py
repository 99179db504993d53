"""What the first job that cannot start gets: its reservation, and who is stopped for it. Pure.

Of the places that it could have:
    1. where others are being stopped for it already: what is given back for it is kept for it
    2. the earliest for certain, when it is late (policy/bound.py); else, or when nothing is certain, the earliest that is likely
    3. where others may be stopped for it (policy/preempt.py), if it starts sooner there. Only where its image is: what they
       give back would lie idle while it is fetched, and be in vain if that fails. Where it is not, it is brought there first
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from labq_scheduler.decisions import Preempt
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.openings import Openings
from labq_scheduler.policy.plan import releases
from labq_scheduler.policy.preempt import Claimant, Yielding, who_yields
from labq_scheduler.policy.reserve import Earliest, Reservation
from labq_scheduler.policy.rules import Rules
from labq_scheduler.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Claim:
    """What is done for the job."""

    #: None = no place is in sight
    reservation: Reservation | None
    preempts: tuple[Preempt, ...] = ()
    #: why it waits, when others are being stopped for it, or will be
    said: str = ""
    #: node that needs its image before anybody is stopped there; "" = none
    bring: str = ""


def claim(
    claimant: Claimant,
    names: Sequence[str],
    openings: Openings,
    ground: Ground,
    snapshot: Snapshot,
    rules: Rules,
    *,
    ready: Set[str],
    late: bool,
) -> Claim:
    """Return what is done for the first job that cannot start.

    Args:
        claimant: the job.
        names: nodes that may be reserved for it, sorted.
        openings: what is free yet.
        ground: who holds what.
        snapshot: the lab.
        rules: the lab's.
        ready: nodes that have its image.
        late: it has waited longer than the bound: places are to be certain.
    """
    job, ahead = claimant.job, _Ahead(claimant, openings, ground, snapshot)
    awaited = ground.awaited().get(job.id, "")
    found = ahead.plan([awaited], late) if awaited in names else None
    # Without limits nothing is certain; what is likely protects it better than nothing.
    found = found or ahead.plan(names, late) or (ahead.plan(names, False) if late else None)
    if awaited in names:
        stopped = [
            other.id for other in ground.places[awaited].jobs if other.stop and other.stop.for_job == job.id
        ]
        return Claim(_reservation(claimant, found, firm=True), said=_said(stopped, awaited))
    yielding = _sooner(claimant, names, openings, ground, snapshot, rules, found)
    bring = ""
    if yielding is not None and yielding.node not in ready:
        bring = yielding.node
        here = [name for name in names if name in ready]
        yielding = _sooner(claimant, here, openings, ground, snapshot, rules, found)
    if yielding is None:
        said = f"its image is brought to {bring}, where others can be stopped for it" if bring else ""
        return Claim(_reservation(claimant, found, firm=late), said=said, bring=bring)
    found = {yielding.node: Earliest(yielding.at, yielding.fit, yielding.spare, True)}
    why = f"job {job.id} of {job.owner} " + (
        "has waited too long" if claimant.is_starving(rules) else f"is of class {job.spec.priority}"
    )
    return Claim(
        # Whoever passes it must end in time for certain, or the others were stopped in vain.
        _reservation(claimant, found, firm=True),
        tuple(Preempt(other, job, why) for other in yielding.jobs),
        _said([other.id for other in yielding.jobs], yielding.node),
    )


@dataclass(frozen=True, slots=True)
class _Ahead:
    """Looks for the earliest place."""

    claimant: Claimant
    openings: Openings
    ground: Ground
    snapshot: Snapshot

    def plan(self, names: Sequence[str], hard: bool) -> dict[str, Earliest] | None:
        """Return when and where it fits at the earliest; ``hard``: count kill limits only."""
        ground, now = self.ground, self.snapshot.now
        given = {
            name: releases(
                ground.places[name].jobs, self.openings.started.get(name, ()), ends=ground.ends,
                runtimes=self.snapshot.runtimes, now=now, hard=hard,
            )
            for name in names
        }  # fmt: skip
        return self.openings.plan(self.claimant.shape, names, given, now, hard)


def _sooner(
    claimant: Claimant, names: Sequence[str], openings: Openings, ground: Ground, snapshot: Snapshot, rules: Rules,
    found: Mapping[str, Earliest] | None,
) -> Yielding | None:  # fmt: skip
    """Return who is to be stopped for it, where that is allowed and it could not start as soon without."""
    if not ground.could(claimant.shape):  # a gang
        return None
    jobs = {name: ground.places[name].jobs for name in names}
    rooms = {name: openings.rooms[name] for name in names}
    yielding = who_yields(claimant, rooms, jobs, rules, snapshot.now)
    if yielding is None or (found and max(at.start for at in found.values()) <= yielding.at):
        return None
    return yielding


def _reservation(
    claimant: Claimant, found: Mapping[str, Earliest] | None, *, firm: bool
) -> Reservation | None:
    if found is None:
        return None
    return Reservation(
        claimant.job,
        {name: at.fit for name, at in found.items()},
        max(at.start for at in found.values()),
        {name: at.spare for name, at in found.items()},
        all(at.certain for at in found.values()),
        firm,
        any(at.guessed for at in found.values()),
    )


def _said(stopped: Sequence[str], node: str) -> str:
    words = f"job {stopped[0]} is" if len(stopped) == 1 else f"jobs {', '.join(sorted(stopped))} are"
    return f"{words} being stopped for it on {node}"
