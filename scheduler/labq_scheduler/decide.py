"""decide(snapshot, rules) -> Decisions. Pure and deterministic; composes policy/, nothing else.

For each class of jobs in the order of policy/order.py:
    1. a job whose owner or group holds as much as it may is left out (policy/caps.py), and nodes that the rules keep for
       others (policy/reservations.py)
    2. a job whose image is nowhere lets a node prepare it (policy/images.py)
    3. a job that fits starts where it fits best (policy/place.py), unless that delayed the reservation
    4. the first that does not fit gets the reservation (policy/reserve.py); there is one
    5. for it, preemptible jobs may be stopped (policy/preempt.py)
Why a job waits is worked out when somebody asks (policy/why.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from labq.job import Job
from labq_scheduler.decisions import Decisions, Preempt, Prepare, Refuse, Start
from labq_scheduler.policy.caps import Caps
from labq_scheduler.policy.depends import dependency_failures
from labq_scheduler.policy.gang import place_gang
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.images import failed_on, image_step
from labq_scheduler.policy.order import Line
from labq_scheduler.policy.passing import finish
from labq_scheduler.policy.place import place
from labq_scheduler.policy.plan import plan, releases
from labq_scheduler.policy.preempt import Claimant, Yielding, who_yields
from labq_scheduler.policy.reservations import Windows
from labq_scheduler.policy.reserve import Earliest, Reservation
from labq_scheduler.policy.room import Fit, Room
from labq_scheduler.policy.rules import Passing, Rules
from labq_scheduler.policy.shape import Shape
from labq_scheduler.policy.share import factors
from labq_scheduler.snapshot import ClassKey, Snapshot


def decide(snapshot: Snapshot, rules: Rules, ground: Ground | None = None) -> Decisions:
    """Return what to do now.

    Args:
        snapshot: the lab.
        rules: the site's rules.
        ground: what the last decision found out; it makes this one faster, never different.
    """
    ground = ground if ground is not None else Ground()
    ground.update(snapshot)
    return _Pass(snapshot, rules, ground).run()


class _Pass:
    """One decision while it is made."""

    def __init__(self, snapshot: Snapshot, rules: Rules, ground: Ground) -> None:
        self.snapshot, self.rules, self.ground, self.now = snapshot, rules, ground, snapshot.now
        self.rooms: dict[str, Room] = {name: place.room for name, place in ground.places.items()}
        #: nodes on which something was started in this pass
        self.changed: set[str] = set()
        #: the same, once for each start; and by shape: where it fits, and how many of these starts were looked at
        self.taken: list[str] = []
        self.fitted: dict[Shape, tuple[set[str], int]] = {}
        self.starts: list[Start] = []
        self.preempts: tuple[Preempt, ...] = ()
        #: jobs for which others are being stopped, and where
        self.awaited = ground.awaited()
        self.prepares: list[Prepare] = []
        self.refusals = dependency_failures(snapshot)
        self.said: dict[ClassKey, str] = {}
        self.ready: dict[str, frozenset[str]] = {}
        #: numbers of the shapes that may fit somewhere yet
        self.may_fit: Sequence[int] = range(len(snapshot.queue.shapes))
        self.reservation: Reservation | None = None
        self.preparing = _preparing(snapshot)
        held = ground.held()
        queue = snapshot.queue
        # The list of people may name some who wait no more.
        active = {queue.users[number] for number in set(queue.columns.user)} | set(held)
        self.people = max(1, len(active))
        self.gpus = max(1, ground.gpus())
        self.caps = Caps(rules, held, ground.running())
        self.windows = Windows(rules, snapshot.nodes, self.now)
        self.line = Line(
            snapshot.queue, rules, now=self.now, factors=factors(active, snapshot.usage, rules), held=held,
            gpus=self.gpus, expected=snapshot.runtimes.expected, owed=snapshot.queue.owed | self.awaited.keys(),
        )  # fmt: skip
        self.held = held

    def run(self) -> Decisions:
        queue = self.snapshot.queue
        places: dict[int, int] = {}
        while (row := self.line.pop()) is not None:
            place_in_class = places.get(row, 0)
            if self._consider(row, place_in_class):
                places[row] = place_in_class + 1
                if place_in_class + 1 < len(queue.jobs[row]):
                    self.line.push(row, place_in_class + 1)
                if self.reservation is not None:
                    self._leave_out_what_cannot_start(self.reservation)
            elif self.rules.passing is Passing.NONE and queue.keys[row] not in self.said:
                break  # whom a cap or an image holds back blocks nobody
        return Decisions(
            tuple(self.starts), tuple(self.prepares), tuple(self.refusals), self.reservation, self.said,
            self.rooms, self.preempts,
        )  # fmt: skip

    def _consider(self, row: int, place_in_class: int) -> bool:
        """Start the job if that may be; return whether it did."""
        queue = self.snapshot.queue
        key, job = queue.keys[row], queue.jobs[row][place_in_class]
        shape = key.shape
        if (cap := self.caps.reached(key.owner, self.ground.asked(shape))) is not None:
            self.said[key] = cap
            return False
        could = self.ground.could(shape)
        if not could:
            return self.rules.gangs and self._consider_gang(row, job, shape)
        fitting = self._fitting(shape)
        if barred := self._barred(row, key):
            fitting = fitting - barred
        step = image_step(
            job, self._ready_on(key.image_key), could, fitting, self.snapshot, self.preparing, self.rules
        )
        if step.refuse is not None:
            self.refusals += [Refuse(other, *step.refuse) for other in queue.jobs[row][place_in_class:]]
            return False
        placed = None
        end = self._finish(row, key)
        if step.ready:
            names = fitting & step.ready
            placed = place(shape, self.rooms, names, self.reservation, end) if names else None
        if step.prepare is not None and (placed is None or not step.spread):
            self.prepares.append(step.prepare)
            self.preparing.setdefault(step.prepare.node, set()).add(step.prepare.key)
        if placed is not None:
            node, fit, why = placed
            self._start(row, job, {node: fit}, why, end)
            return True
        if not step.ready:
            self.said[key] = step.wait
        elif barred >= could:
            self.said[key] = self.windows.said(key.owner, self._over(row))
        elif self.reservation is None:
            self._reserve(row, job, shape, self._usable(row, job, could - barred, step.ready))
        return False

    def _usable(self, row: int, job: Job, could: Set[str], ready: Set[str]) -> dict[str, Room]:
        """Return the nodes that may be reserved for a job: not where its image failed; where it is, once it is late."""
        names = could & ready if self.line.is_late(row) else could - failed_on(job, self.snapshot.images)
        return {name: self.rooms[name] for name in sorted(names)}

    def _barred(self, row: int, key: ClassKey) -> frozenset[str]:
        """Return the nodes that the rules keep for others now, or soon."""
        return self.windows.barred(key.owner, self._over(row)) if self.windows else frozenset()

    def _over(self, row: int) -> float:
        """Return when a job that starts now will have ended: for certain if it has a limit, else safely."""
        columns = self.snapshot.queue.columns
        limit = columns.limit[row]
        return self.now + (limit if limit < float("inf") else columns.safe[row])

    # -- starting -------------------------------------------------------------------------------------

    def _fitting(self, shape: Shape) -> set[str]:
        """Return the nodes on which it fits now."""
        names, seen = self.fitted.get(shape) or (self.ground.fitting(shape), 0)
        if seen == len(self.taken):
            return names
        # In a pass room is only taken, so a node that did not fit never fits; each start is looked at once per shape.
        lost = {
            name for name in set(self.taken[seen:]) if name in names and self.rooms[name].fits(shape) is None
        }
        names = names - lost if lost else names
        self.fitted[shape] = names, len(self.taken)
        return names

    def _start(self, row: int, job: Job, parts: Mapping[str, Fit], why: str, end: float) -> None:
        self.taken += parts
        for name, fit in parts.items():
            if name not in self.changed:
                self.rooms[name] = self.rooms[name].copy()
                self.changed.add(name)
            self.rooms[name].take(fit)
            if self.reservation is not None:
                self.reservation.started(name, fit, end)
        gpus = float(sum(_gpus(fit, self.rooms[name]) for name, fit in parts.items()))
        self.line.hold(row, gpus)
        self.caps.started(job.owner, gpus)
        (node, fit), *more = parts.items()
        self.starts.append(Start(job, node, fit, why, tuple(more)))

    def _finish(self, row: int, key: ClassKey) -> float:
        if self.reservation is None:
            return self.now
        columns = self.snapshot.queue.columns
        return finish(
            self.reservation, self.rules, now=self.now,
            safe=columns.safe[row], limit=columns.limit[row],
            parts=self.held.get(key.owner, 0.0) / self.gpus * self.people,
        )  # fmt: skip

    def _consider_gang(self, row: int, job: Job, shape: Shape) -> bool:
        parts = place_gang(shape, self.rooms)
        if parts is not None and self.reservation is not None:
            end = self._finish(row, self.snapshot.queue.keys[row])
            reserved = self.reservation
            if end > reserved.start and self.rules.passing is Passing.EASY:
                spare = {
                    name: reserved.spare.get(name, room) for name, room in self.rooms.items()
                }  # what is spare then and free now
                both = {name: room if room.whole < self.rooms[name].whole else self.rooms[name] for name, room in spare.items()}  # fmt: skip
                parts = place_gang(shape, both)
        if parts is not None:
            end = self._finish(row, self.snapshot.queue.keys[row])
            self._start(row, job, parts, "whole nodes are free", end)
            return True
        if self.reservation is None:
            self._reserve(row, job, shape, self.rooms)
        return False

    # -- reserving ------------------------------------------------------------------------------------

    def _reserve(self, row: int, job: Job, shape: Shape, rooms: Mapping[str, Room]) -> None:
        hard = self.line.is_late(row)
        if self.rules.passing is Passing.NONE or (self.rules.passing is Passing.ANY and not hard):
            return
        awaited, found = self.awaited.get(job.id, ""), None
        if awaited in rooms:  # what is given back for it is kept for it: no better place is looked for
            found = self._plan(shape, {awaited: rooms[awaited]}, hard)
        # Without limits nothing is certain; what is likely protects it better than nothing.
        found = found or self._plan(shape, rooms, hard) or (self._plan(shape, rooms, False) if hard else None)
        if hard:
            self.caps.started(job.owner, self.ground.asked(shape))
        # Whoever passes a job for which others were stopped must end in time for certain, or they were in vain.
        firm = hard or awaited in rooms
        if awaited in rooms:
            self._say_who_is_stopped(row, job, awaited)
        elif (yielding := self._yielding(row, job, shape, rooms, found)) is not None:
            found, firm = {yielding.node: Earliest(yielding.at, yielding.fit, yielding.spare, True)}, True
        if found is None:
            return
        parts = {name: at.fit for name, at in found.items()}
        start = max(at.start for at in found.values())
        certain = all(at.certain for at in found.values())
        spare = {name: at.spare for name, at in found.items()}
        self.reservation = Reservation(job, parts, start, spare, certain, firm)
        self._leave_out_what_cannot_start(self.reservation)

    def _yielding(
        self,
        row: int,
        job: Job,
        shape: Shape,
        rooms: Mapping[str, Room],
        found: Mapping[str, Earliest] | None,
    ) -> Yielding | None:
        """Have others stopped for a job where that is allowed and it could not start as soon without."""
        if not self.ground.could(shape):
            return None
        jobs = {name: self.ground.places[name].jobs for name in rooms}
        claimant = Claimant(job, shape, self.line.waited(row))
        yielding = who_yields(claimant, rooms, jobs, self.rules, self.now)
        if yielding is None or (found and max(at.start for at in found.values()) <= yielding.at):
            return None
        why = f"job {job.id} of {job.owner} "
        why += (
            "has waited too long" if claimant.is_starving(self.rules) else f"is of class {job.spec.priority}"
        )
        self.preempts = tuple(Preempt(other, job, why) for other in yielding.jobs)
        self._say_who_is_stopped(row, job, yielding.node)
        return yielding

    def _say_who_is_stopped(self, row: int, job: Job, node: str) -> None:
        stopped = [preempt.job.id for preempt in self.preempts] or [
            other.id
            for other in self.ground.places[node].jobs
            if other.stop is not None and other.stop.for_job == job.id
        ]
        words = f"job {stopped[0]} is" if len(stopped) == 1 else f"jobs {', '.join(sorted(stopped))} are"
        self.said[self.snapshot.queue.keys[row]] = f"{words} being stopped for it on {node}"

    def _plan(self, shape: Shape, rooms: Mapping[str, Room], hard: bool) -> dict[str, Earliest] | None:
        given = {
            name: releases(
                self.ground.places[name].jobs, self._started_on(name), ends=self.ground.ends,
                runtimes=self.snapshot.runtimes, now=self.now, hard=hard,
            )
            for name in rooms
        }  # fmt: skip
        gang = self.rules.gangs and not self.ground.could(shape)
        return plan(shape, rooms, given, now=self.now, hard=hard, gang=gang)

    def _started_on(self, name: str) -> list[tuple[Job, Fit]]:
        if name not in self.changed:
            return []
        parts = [(start.job, ((start.node, start.fit), *start.more)) for start in self.starts]
        return [(job, fit) for job, fits in parts for node, fit in fits if node == name]

    def _leave_out_what_cannot_start(self, reserved: Reservation) -> None:
        """Look only at classes that may pass, and at those that wait for an image: all others are most of them.

        Within a pass room only gets less and what people hold only more, so who may not pass now may not later.
        """
        queue, columns = self.snapshot.queue, self.snapshot.queue.columns
        self.may_fit = [number for number in self.may_fit if self._may_fit(queue.shapes[number])]
        fit = set(self.may_fit)
        beside = {number for number in fit if self._fits_beside(queue.shapes[number], reserved)}
        waiting = {number for number, key in enumerate(queue.images) if not self._has_image(key)}

        def may(row: int) -> bool:
            shape = columns.shape[row]
            if shape in beside or (waiting and columns.image[row] in waiting):
                return True
            return shape in fit and self._finish(row, queue.keys[row]) <= reserved.start

        self.line.keep_only(may)

    def _fits_beside(self, shape: Shape, reserved: Reservation) -> bool:
        """Return whether a job of any length may start somewhere."""
        never = float("inf")
        return not self.ground.could(shape) or any(
            reserved.allows(self.rooms[name], shape, never) is not None for name in self._fitting(shape)
        )

    def _may_fit(self, shape: Shape) -> bool:
        could = self.ground.could(shape)
        return bool(self._fitting(shape)) if could else self.rules.gangs

    def _has_image(self, key: str) -> bool:
        return bool(self._ready_on(key))

    def _ready_on(self, key: str) -> frozenset[str]:
        """Return the nodes that have an image."""
        found = self.ready.get(key)
        if found is None:
            image = self.snapshot.images.get(key)
            names = () if image is None else (name for name in image.nodes if image.ready_on(name))
            found = self.ready[key] = frozenset(names)
        return found


def _gpus(fit: Fit, room: Room) -> float:
    return sum(hold.memory / room.sizes[hold.uuid] if hold.memory else 1.0 for hold in fit.gpus)


def _preparing(snapshot: Snapshot) -> dict[str, set[str]]:
    busy: dict[str, set[str]] = {}
    for key, image in snapshot.images.items():
        for node, said in image.nodes.items():
            if said.state == "preparing":
                busy.setdefault(node, set()).add(key)
    return busy
