"""decide(snapshot, rules) -> Decisions. Pure and deterministic; composes policy/, nothing else.

Jobs that wait for one that failed end. Then, for each class of jobs in the order of policy/order.py, its first job:
    1. cap: it is left out when its owner or group holds as much as it may (policy/caps.py); what
       comes free there is kept for a late job
    2. windows: nodes that the rules keep for others are left out (policy/reservations.py)
    3. image: where it is not ready a node prepares it; when it cannot be had the jobs end (policy/images.py)
    4. place: the job starts where it fits best (policy/place.py), unless that delayed the reservation (policy/passing.py)
    5. claim: the first that does not fit gets the reservation, and others may be stopped for it (policy/claim.py); there is one
Why a job waits is worked out when somebody asks (policy/why.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from labq.job import Job
from labq_scheduler.decisions import Decisions, Preempt, Prepare, Refuse, Start
from labq_scheduler.policy.caps import Caps, never
from labq_scheduler.policy.claim import claim
from labq_scheduler.policy.depends import dependency_failures
from labq_scheduler.policy.gang import GangOpenings
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.images import Stock, bring, failed_on, image_step
from labq_scheduler.policy.openings import Openings
from labq_scheduler.policy.order import Line
from labq_scheduler.policy.parts import gpus_of
from labq_scheduler.policy.passing import finish
from labq_scheduler.policy.preempt import Claimant
from labq_scheduler.policy.reservations import Windows
from labq_scheduler.policy.reserve import Reservation
from labq_scheduler.policy.room import Fit
from labq_scheduler.policy.rules import Passing, Rules
from labq_scheduler.policy.shape import Shape
from labq_scheduler.policy.share import factors
from labq_scheduler.snapshot import ClassKey, Snapshot

#: Who cannot start any more is looked at again when there are more starts by one in so many.
AGAIN = 4
#: Jobs that wait for somebody outside the queue, and after which another is asked whether it can have a real reservation:
#: each costs up to 3 ms with 125 nodes.
GUESSES = 20


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
        queue = snapshot.queue
        self.starts: list[Start] = []
        self.prepares: list[Prepare] = []
        self.preempts: tuple[Preempt, ...] = ()
        self.refusals = dependency_failures(snapshot)
        self.reservation: Reservation | None = None
        self.guesses = 0
        self.said: dict[ClassKey, str] = {}
        self.openings = GangOpenings(ground) if rules.gangs else Openings(ground)
        #: numbers of the shapes that may fit somewhere yet
        self.may_fit: Sequence[int] = range(len(queue.shapes))
        #: how many starts there must be before it is looked again who cannot start any more
        self.look_again = 0
        self.stock = Stock(snapshot.images)
        #: GPUs by person; brought up to date by the line
        self.held = ground.held()
        # The list of people may name some who wait no more.
        active = {queue.users[number] for number in set(queue.columns.user)} | set(self.held)
        self.people, self.gpus = max(1, len(active)), max(1, ground.gpus())
        self.caps = Caps(rules, self.held, ground.running())
        self.windows = Windows(rules, snapshot.nodes, self.now)
        self.line = Line(
            queue, rules, now=self.now, factors=factors(active, snapshot.usage, rules), held=self.held,
            gpus=self.gpus, expected=snapshot.runtimes.expected,
            owed=queue.owed | ground.awaited().keys(),
        )  # fmt: skip

    def run(self) -> Decisions:
        queue = self.snapshot.queue
        places: dict[int, int] = {}
        while (row := self.line.pop()) is not None:
            place_in_class = places.get(row, 0)
            if self._consider(row, place_in_class):
                places[row] = place_in_class + 1
                if place_in_class + 1 < len(queue.jobs[row]):
                    self.line.push(row, place_in_class + 1)
                if self.reservation is not None and len(self.starts) >= self.look_again:
                    self._leave_out_what_cannot_start(self.reservation)
            elif self.rules.passing is Passing.NONE and self._blocks(queue.keys[row]):
                break
        return Decisions(
            tuple(self.starts), tuple(self.prepares), tuple(self.refusals), self.reservation, self.said,
            self.openings.rooms, self.preempts,
        )  # fmt: skip

    def _blocks(self, key: ClassKey) -> bool:
        """Return whether nobody may pass: not whom a cap or an image holds back, nor who fits on no node that takes work."""
        return key not in self.said and bool(self.openings.could(key.shape))

    def _consider(self, row: int, place_in_class: int) -> bool:
        """Start the job if that may be; return whether it did. The numbers are those of the module's docstring."""
        queue = self.snapshot.queue
        key, job = queue.keys[row], queue.jobs[row][place_in_class]
        shape, could = key.shape, self.openings.could(key.shape)
        asked = self.ground.asked(shape)
        # 1. cap
        if (cap := self.caps.reached(key.owner, asked)) is not None:
            self._keep_cap(row, key, asked, could)
            self.said[key] = cap
            return False
        if not could:
            return False
        fitting = self.openings.fitting(shape)
        # 2. windows
        if barred := self._barred(row, key):
            fitting = fitting - barred
        # 3. image
        ready = self.stock.ready_on(key.image_key)
        step = image_step(job, ready, could, fitting, self.snapshot, self.stock.preparing, self.rules)
        if step.refuse is not None:
            self.refusals += [Refuse(other, *step.refuse) for other in queue.jobs[row][place_in_class:]]
            return False
        # 4. place
        placed, end = None, self._finish(row, key)
        if step.ready:
            placed = self.openings.place(shape, fitting & step.ready, self.reservation, end)
        if step.prepare is not None and (placed is None or not step.spread):
            self.prepares.append(step.prepare)
            self.stock.ask(step.prepare)
        if placed is not None:
            self._start(row, job, *placed, end)
            return True
        if not step.ready:
            self.said[key] = step.wait
        elif barred >= could:
            self.said[key] = self.windows.said(key.owner, self._over(row))
        # 5. claim
        elif self.reservation is None or (self._may_replace_the_guess() and not fitting):
            self._claim(row, job, shape, self._usable(row, job, could - barred, step.ready), step.ready)
        return False

    def _keep_cap(self, row: int, key: ClassKey, asked: float, could: Set[str]) -> None:
        """Keep what comes free under a cap for a late job that nothing else but room holds back."""
        if not self.line.is_late(row) or not could & self.stock.ready_on(key.image_key):
            return
        if never(self.rules, key.owner, asked) is None:
            self.caps.started(key.owner, asked)

    def _may_replace_the_guess(self) -> bool:
        """Return whether the reservation may never come, and it was not asked too often yet who can have another."""
        return self.reservation is not None and self.reservation.guessed and self.guesses < GUESSES

    def _usable(self, row: int, job: Job, could: Set[str], ready: Set[str]) -> list[str]:
        """Return the nodes that may be reserved for a job: not where its image failed; where it is, once it is late."""
        late = self.line.is_late(row)
        return sorted(could & ready if late else could - failed_on(job, self.snapshot.images))

    def _barred(self, row: int, key: ClassKey) -> frozenset[str]:
        """Return the nodes that the rules keep for others now, or soon."""
        return self.windows.barred(key.owner, self._over(row)) if self.windows else frozenset()

    def _over(self, row: int) -> float:
        """Return when a job that starts now will have ended: for certain if it has a limit, else safely."""
        columns = self.snapshot.queue.columns
        limit = columns.limit[row]
        return self.now + (limit if limit < float("inf") else columns.safe[row])

    def _finish(self, row: int, key: ClassKey) -> float:
        """Return when a job that starts now has ended in the eyes of the reservation: seconds since the epoch."""
        if self.reservation is None:
            return self.now
        columns = self.snapshot.queue.columns
        return finish(
            self.reservation, self.rules, now=self.now,
            safe=columns.safe[row], limit=columns.limit[row],
            parts=self.held.get(key.owner, 0.0) / self.gpus * self.people,
        )  # fmt: skip

    def _start(self, row: int, job: Job, parts: Mapping[str, Fit], why: str, end: float) -> None:
        self.openings.take(job, parts)
        rooms, gpus = self.openings.rooms, 0.0
        for name, fit in parts.items():
            gpus += gpus_of(fit.gpus, rooms[name].sizes)
            if self.reservation is not None:
                self.reservation.started(name, fit, end)
        self.line.hold(row, gpus)
        self.caps.started(job.owner, gpus)
        (node, fit), *more = parts.items()
        self.starts.append(Start(job, node, fit, why, tuple(more)))

    def _claim(self, row: int, job: Job, shape: Shape, names: Sequence[str], ready: Set[str]) -> None:
        late = self.line.is_late(row)
        if self.rules.passing is Passing.NONE or (self.rules.passing is Passing.ANY and not late):
            return
        if late:  # its owner's other jobs do not use up the cap that it needs
            self.caps.started(job.owner, self.ground.asked(shape))
        claimant = Claimant(job, shape, self.line.waited(row))
        made = claim(
            claimant, names, self.openings, self.ground, self.snapshot, self.rules, ready=ready, late=late
        )
        self.guesses += 1
        if self.reservation is None or (made.reservation is not None and not made.reservation.guessed):
            self.reservation, self.preempts = made.reservation, made.preempts
        if made.bring and (prepare := bring(job, made.bring, self.stock.preparing, self.rules)) is not None:
            self.prepares.append(prepare)
            self.stock.ask(prepare)
        if made.said and (self.reservation is None or self.reservation.job is job):
            self.said[self.snapshot.queue.keys[row]] = made.said
        if self.reservation is not None:
            self._leave_out_what_cannot_start(self.reservation)

    def _leave_out_what_cannot_start(self, reserved: Reservation) -> None:
        """Look only at classes that may pass, and at those that wait for an image: all others are most of them.

        Within a pass room only gets less and what people hold only more, so who may not pass now may not later. It saves
        time and need not be done after every start: beside a hundred starts in one pass it was most of the time.
        """
        if reserved.guessed:  # somebody else may get a real one yet
            return
        queue, columns = self.snapshot.queue, self.snapshot.queue.columns
        self.look_again = len(self.starts) + 1 + len(self.starts) // AGAIN
        self.may_fit = [number for number in self.may_fit if self.openings.fitting(queue.shapes[number])]
        fit = set(self.may_fit)
        beside = {number for number in fit if self.openings.fits_beside(queue.shapes[number], reserved)}
        waiting = {number for number, key in enumerate(queue.images) if not self.stock.ready_on(key)}

        def may(row: int) -> bool:
            shape = columns.shape[row]
            if shape in beside or (waiting and columns.image[row] in waiting):
                return True
            return shape in fit and self._finish(row, queue.keys[row]) <= reserved.start

        self.line.keep_only(may)
