"""When each job that waits is expected to start, and between what times. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import ceil

from labq_scheduler.forecast.ahead import Future, Now
from labq_scheduler.forecast.lengths import Lengths, Spread

DAY = 86400.0
#: Futures that are thought through: a tenth of the truth is expected to come sooner than ``early``, a tenth later than
#: ``late``.
FUTURES, TENTH = 9, 0.1
#: The part of the futures that begin no later than what is called likely. An error counts by what came: to say two hours
#: when it is one is worse than the other way round, so this is a little below the middle.
LIKELY = 0.4
#: Seconds that are looked ahead.
HORIZON = 14 * DAY
#: Beyond so many jobs: how many futures are thought through at most, and events how close together are taken together, as
#: ``Future`` says. A future of 1,000 jobs takes a second, of 10,000 ten. Against taking each event for itself, starts differ
#: by 6 % (median) with 0.02, by 11 % with 0.05: a fifth of what a forecast is wrong anyway.
STEPS = ((500, FUTURES, 0.02), (1500, 5, 0.02), (5000, 3, 0.05))


@dataclass(frozen=True, slots=True)
class Outlook:
    """When one job is expected to start. Seconds since the epoch; None = later than was looked."""

    early: float | None
    likely: float | None
    late: float | None
    #: where; "" = not known
    node: str
    #: until when was looked ahead
    looked: float
    #: of which moment it is
    at: float

    @property
    def never(self) -> bool:
        """Return whether it cannot start, as things are."""
        return self.likely is None and self.looked == float("inf")


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of all jobs of a snapshot, or of those asked for."""

    #: seconds since the epoch at which the snapshot was taken
    at: float
    looked: float
    #: rows: futures, in order of time; columns: jobs
    _starts: Sequence[Sequence[float]]
    _nodes: tuple[tuple[str, ...], ...]
    _places: dict[str, int]
    #: the likely start of each job
    _likely: list[float]

    def likely(self, job_id: str) -> float | None:
        """Return the likely start of a job, seconds since the epoch; None when it is not known, or later than was looked."""
        place = self._places.get(job_id)
        return None if place is None else _some(self._likely[place])

    def of(self, job_id: str) -> Outlook | None:
        """Return the outlook of a job; None when it did not wait then."""
        place = self._places.get(job_id)
        if place is None:
            return None
        column = [row[place] for row in self._starts]
        order = sorted(range(len(column)), key=column.__getitem__)
        many = len(order)
        early, likely, late = (
            column[order[max(0, ceil(part * many) - 1)]] for part in (TENTH, LIKELY, 1.0 - TENTH)
        )
        node = self._nodes[order[max(0, ceil(LIKELY * many) - 1)]][place]
        return Outlook(_some(early), _some(likely), _some(late), node, self.looked, self.at)


def forecast(
    begin: Now,
    wanted: Collection[str] = (),
    *,
    futures: int = FUTURES,
    horizon: float = HORIZON,
    coarse: float | None = None,
    go_on: Callable[[], bool] = lambda: True,
    news: Callable[[Forecast], None] = lambda found: None,
) -> Forecast:
    """Return when jobs are expected to start.

    Args:
        begin: the present.
        wanted: jobs; empty = all that wait.
        futures: how many are thought through.
        horizon: seconds that are looked ahead.
        coarse: of ``Future``; None = as the number of jobs demands.
        go_on: asked before each decision; False ends it. The future that is cut off counts when it is the only one.
        news: told what is known after each future.
    """
    runtimes, now = begin.snapshot.runtimes, begin.snapshot.now
    most, step = next(
        ((most, step) for many, most, step in reversed(STEPS) if len(begin.waiting) > many), (futures, 0.0)
    )
    futures = min(futures, most) if isinstance(runtimes, Spread) else 1
    jobs = list(wanted) or [job.id for row in begin.snapshot.queue.jobs for job in row]
    if coarse is None:
        coarse = step
    told: list[Future] = []
    cut = False
    found = _forecast(now, jobs, told)
    for number in range(max(1, futures)):
        future = Future(begin, Lengths(runtimes, number, futures), coarse)

        def asked() -> bool:
            nonlocal cut
            cut = cut or not go_on()
            return not cut

        future.run(wanted, now + horizon, asked)
        if cut and told:
            break
        told.append(future)
        found = _forecast(now, jobs, told)
        news(found)
        if cut:
            break
    return found


def _forecast(now: float, jobs: Sequence[str], told: Sequence[Future]) -> Forecast:
    # A future that ended early only for having started all jobs says nothing of later times.
    short = [future.looked for future in told if any(job_id not in future.starts for job_id in jobs)]
    never = (float("inf"), "")
    starts = [[future.starts.get(job_id, never)[0] for job_id in jobs] for future in told]
    nodes = tuple(tuple(future.starts.get(job_id, never)[1] for job_id in jobs) for future in told)
    places = {job_id: place for place, job_id in enumerate(jobs)}
    which = max(0, ceil(LIKELY * len(told)) - 1)
    likely = [sorted(column)[which] for column in zip(*starts, strict=True)]
    return Forecast(now, min(short, default=float("inf")), starts, nodes, places, likely)


def _some(at: float) -> float | None:
    return None if at == float("inf") else float(at)
