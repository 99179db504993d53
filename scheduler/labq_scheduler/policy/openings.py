"""What is free yet while one decision is made, and on which nodes each shape fits. Pure.

``Ground`` says what was free before it. Within a decision room only becomes less, so a node on which a shape did not fit is
not looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from labq.job import Job
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.place import place
from labq_scheduler.policy.plan import plan
from labq_scheduler.policy.reserve import Earliest, Release, Reservation
from labq_scheduler.policy.room import Fit, Room
from labq_scheduler.policy.shape import Shape

NEVER = float("inf")


class Openings:
    """The rooms of one decision; those of the ground are not changed."""

    def __init__(self, ground: Ground) -> None:
        """Begin with what is free now."""
        self._ground = ground
        self.rooms: dict[str, Room] = {name: place.room for name, place in ground.places.items()}
        #: by node, the jobs that were started there in this decision, and what they got
        self.started: dict[str, list[tuple[Job, Fit]]] = {}
        #: the nodes of these starts, in order; and by shape: where it fits, and how many of the starts were looked at
        self._taken: list[str] = []
        self._fitted: dict[Shape, tuple[Set[str], int]] = {}

    def could(self, shape: Shape) -> frozenset[str]:
        """Return the nodes that could hold a shape if nothing else ran there."""
        return self._ground.could(shape)

    def fitting(self, shape: Shape) -> Set[str]:
        """Return the nodes on which a shape fits now; not to be changed."""
        names, seen = self._fitted.get(shape) or (self._ground.fitting(shape), 0)
        if seen == len(self._taken):
            return names
        lost = {
            name for name in set(self._taken[seen:]) if name in names and self.rooms[name].fits(shape) is None
        }
        names = names - lost if lost else names
        self._fitted[shape] = names, len(self._taken)
        return names

    def fits_beside(self, shape: Shape, reserved: Reservation) -> bool:
        """Return whether a job of any length may start somewhere without delaying the reservation."""
        return any(
            reserved.allows(self.rooms[name], shape, NEVER) is not None for name in self.fitting(shape)
        )

    def place(
        self, shape: Shape, names: Set[str], reservation: Reservation | None, finish: float
    ) -> tuple[Mapping[str, Fit], str] | None:
        """Return what a job gets by node, and why there; None when it cannot start now. See policy/place.py."""
        found = place(shape, self.rooms, names, reservation, finish, self._ground.cards()) if names else None
        return None if found is None else ({found[0]: found[1]}, found[2])

    def plan(
        self,
        shape: Shape,
        names: Sequence[str],
        given: Mapping[str, Sequence[Release]],
        now: float,
        hard: bool,
    ) -> dict[str, Earliest] | None:
        """Return when and where a shape fits at the earliest. See policy/plan.py."""
        return plan(shape, {name: self.rooms[name] for name in names}, given, now=now, hard=hard)

    def take(self, job: Job, parts: Mapping[str, Fit]) -> None:
        """Let a job have what was placed."""
        for name, fit in parts.items():
            if name not in self.started:
                self.rooms[name] = self.rooms[name].copy()
                self.started[name] = []
            self.rooms[name].take(fit)
            self.started[name].append((job, fit))
            self._taken.append(name)
