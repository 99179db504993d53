"""Who is next. Pure.

The order of those that wait:
    1. who has waited longer than the bound: who began to wait the earliest first (policy/bound.py)
    2. for whom others were stopped (policy/preempt.py): what they gave back is for nobody else
    3. the better priority class
    4. the higher score, the sum of
       a. share: fair share factor of the owner (policy/share.py), 0 to 1
       b. held:  less the part of the lab that the owner holds now, 0 to 1; it is looked at anew after each start, so that
                 the tasks of an array and other people's jobs take turns
       c. age:   time waited / ``age_full``, at most 1
       d. wide:  c, for each doubling of the number of GPUs
       e. small: 1 - (log2(minutes of the expected run time) + doublings of the GPUs) / 20, so that a job of one GPU-minute
                 has 1 and one of two GPU-years 0. Expected is what is predicted, as far as predictions proved right
                 (policy/trust.py). Shortest expected first is nearly the best that can be done with inexact sizes
                 (Dell'Amico, "Scheduling with inexact job sizes", arXiv 1907.04824)
       f. overdue: weeks waited beyond ``overdue_after``, without end: whoever is passed again and again is first one day
    5. the earlier arrival
The fields of ``Weights`` have the same letters, those of ``Key`` the same numbers.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from math import log2

from labq.job import Job
from labq_scheduler.policy.bound import waiting_since
from labq_scheduler.policy.rules import DAY, Rules
from labq_scheduler.snapshot import Queue

#: Doublings from one GPU-minute to two GPU-years: the range over which a job is small or large.
DOUBLINGS = 20.0
WEEK = 7 * DAY

LATE, OWED, OTHER = 0, 1, 2

#: (1, 2: beyond the bound, owed or else; 3: class; of who is beyond or owed since when it waits, of others 4: less the score;
#: 5: seq, index)
Key = tuple[int, int, float, int, int]


class Line:
    """The classes in order, each represented by its first job; ``pop`` the best, ``push`` what comes after it."""

    def __init__(
        self,
        queue: Queue,
        rules: Rules,
        *,
        now: float,
        factors: Mapping[str, float],
        held: dict[str, float],
        gpus: float,
        expected: Callable[[float], float],
        owed: frozenset[str] = frozenset(),
    ) -> None:
        """Sort.

        Args:
            queue: who waits.
            rules: the weights.
            now: seconds since the epoch.
            factors: fair share factor by person.
            held: GPUs held by person; changed by :meth:`hold`.
            gpus: of the lab.
            expected: seconds that a job is expected to run for which so many are typical.
            owed: ids of jobs for which others were stopped.
        """
        self._queue, self._rules, self._now = queue, rules, now
        self._held, self._gpus, self._owed = held, max(1.0, gpus), owed
        weights, columns = rules.weights, queue.columns
        #: by class: the place in it of the job that is first now, where that is not the first of all
        self._places: dict[int, int] = {}
        self._user = columns.user
        #: how often each person's holdings have changed, and had when a key was made
        self._versions = [0] * len(queue.users)
        #: by person: what the owner's share adds and holdings take away
        self._share = [weights.share * factors.get(name, 1.0) for name in queue.users]
        owner = [
            weights.held * held.get(name, 0.0) / self._gpus - share
            for name, share in zip(queue.users, self._share, strict=True)
        ]
        kinds = list(zip(columns.typical, columns.limit, columns.doublings, strict=True))
        small = {
            kind: weights.small * (1.0 - _size(min(expected(kind[0]), kind[1]), kind[2]))
            for kind in set(kinds)
        }
        #: by class: what smallness adds
        self._small = [small[kind] for kind in kinds]
        age, wide, full = weights.age, weights.wide, rules.age_full
        patience, weekly = rules.overdue_after, weights.overdue / WEEK
        # One expression without calls: it is worked out for every class in every pass.
        values = [
            owner[user]
            - small
            - (age + wide * doublings)
            * (0.0 if (part := (now - submitted) / full) < 0.0 else part if part < 1.0 else 1.0)
            - (weekly * over if (over := now - submitted - patience) > 0.0 else 0.0)
            for user, small, doublings, submitted in zip(
                columns.user, self._small, columns.doublings, columns.submitted, strict=True
            )
        ]
        levels, ranks = [OTHER] * len(values), list(columns.rank)
        if rules.bound is not None or owed:
            for row, jobs in enumerate(queue.jobs):
                levels[row] = self._level(jobs[0], columns.since[row])
                if levels[row] < OTHER:
                    ranks[row], values[row] = 0, columns.since[row]
        rows = range(len(values))
        keys = zip(levels, ranks, values, columns.seq, columns.index, strict=True)
        self._heap: list[tuple[Key, int, int]] = list(zip(keys, rows, [0] * len(values), strict=True))
        heapq.heapify(self._heap)

    def pop(self) -> int | None:
        """Return the row of the class whose first job is next; None = all were seen."""
        while self._heap:
            key, row, version = heapq.heappop(self._heap)
            if version == self._versions[self._user[row]] or key[0] < OTHER:
                return row
            self.push(row)  # its owner has got something meanwhile: it may not be the best any more
        return None

    def push(self, row: int, place: int = 0) -> None:
        """Put a class in line with the job at ``place`` as its first; 0 = with the one that is first."""
        if place:
            self._places[row] = place
        job = self._first(row)
        since = waiting_since(job)
        level = self._level(job, since)
        rank = self._queue.columns.rank[row] if level == OTHER else 0
        value = self._value(row, job.submitted_at) if level == OTHER else since
        key = (level, rank, value, job.seq, job.index or 0)
        heapq.heappush(self._heap, (key, row, self._versions[self._user[row]]))

    def hold(self, row: int, gpus: float) -> None:
        """Note that the owner of a class holds more GPUs now."""
        name = self._queue.keys[row].owner
        self._held[name] = self._held.get(name, 0.0) + gpus
        self._versions[self._user[row]] += 1

    def keep_only(self, may: Callable[[int], bool]) -> None:
        """Leave out all classes (rows) that could not start anyway."""
        self._heap = [entry for entry in self._heap if may(entry[1])]
        heapq.heapify(self._heap)

    def is_late(self, row: int) -> bool:
        """Return whether the first job of a class has waited longer than the bound."""
        bound = self._rules.bound
        return bound is not None and self.waited(row) >= bound

    def waited(self, row: int) -> float:
        """Return the seconds that the first job of a class has waited for what it needs."""
        return self._now - waiting_since(self._first(row))

    def _first(self, row: int) -> Job:
        return self._queue.jobs[row][self._places.get(row, 0)]

    def _level(self, job: Job, since: float) -> int:
        bound = self._rules.bound
        if bound is not None and self._now - since >= bound:
            return LATE
        return OWED if job.id in self._owed else OTHER

    def _value(self, row: int, submitted: float) -> float:
        """Return less the score. Summed in the order of ``__init__``: else equal scores would differ in their last digit."""
        weights, user = self._rules.weights, self._user[row]
        held = self._held.get(self._queue.users[user], 0.0)
        aged = min(1.0, max(0.0, (self._now - submitted) / self._rules.age_full))
        slope = weights.age + weights.wide * self._queue.columns.doublings[row]
        over = max(0.0, self._now - submitted - self._rules.overdue_after)
        best = weights.held * held / self._gpus - self._share[user] - self._small[row] - slope * aged
        return best - weights.overdue / WEEK * over


def _size(seconds: float, doublings: float) -> float:
    """Return how large a job is that runs so long: 0 = one GPU-minute, 1 = two GPU-years."""
    return (log2(max(60.0, seconds) / 60.0) + doublings) / DOUBLINGS
