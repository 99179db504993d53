"""What a replay was like for the people in it: waits, slowdown, use, fairness. Pure.

bounded slowdown   (wait + run) / max(run, 10 s), at least 1 (Feitelson et al., JSSPP 1997)
deficit            the part of their instantaneous max-min fair share that a person did not have while they wanted it,
over the whole replay; the largest counts of those with 20 jobs or more and 1 % of what all were
entitled to
p99                the value that 99 % do not exceed (nearest rank)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import ceil, exp, log

from labq_scheduler.simulate.replay import Ran

#: Seconds below which a run counts as long as this in the slowdown.
TAU = 10.0
#: GPUs from which a job is wide.
WIDE = 8
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Measures:
    """Hours where nothing else is said."""

    wait_mean: float
    wait_median: float
    wait_p99: float
    wait_max: float
    wait_wide: float
    slowdown: float
    utilisation: float
    makespan_days: float
    worst_user: float
    deficit: float
    deficit_total: float

    @staticmethod
    def mean(rows: Sequence[Measures]) -> Measures:
        """Return the mean of several replays."""
        return Measures(
            *(sum(getattr(row, item.name) for row in rows) / len(rows) for item in fields(Measures))
        )


def measure(ran: Sequence[Ran], gpus: int) -> Measures:
    """Return the measures of a replay on machines with ``gpus`` GPUs."""
    waits = sorted(row.waited / HOUR for row in ran)
    wide = [row.waited / HOUR for row in ran if row.job.gpus >= WIDE]
    slow = [max(1.0, (row.waited + row.job.duration) / max(TAU, row.job.duration)) for row in ran]
    begin, end = min(row.job.submitted for row in ran), max(row.end for row in ran)
    used = sum(row.job.duration * row.gpus for row in ran)
    users: dict[str, list[float]] = {}
    for row in ran:
        users.setdefault(row.job.user, []).append(row.waited / HOUR)
    worst = max((sum(rows) / len(rows) for rows in users.values() if len(rows) >= 20), default=0.0)
    deficits, total = fair_share_deficits(ran, gpus)
    return Measures(
        wait_mean=sum(waits) / len(waits),
        wait_median=waits[len(waits) // 2],
        wait_p99=waits[ceil(0.99 * len(waits)) - 1],
        wait_max=waits[-1],
        wait_wide=sum(wide) / len(wide) if wide else 0.0,
        slowdown=sum(slow) / len(slow),
        utilisation=used / (end - begin) / gpus,
        makespan_days=(end - begin) / 86400,
        worst_user=worst,
        deficit=max((value for user, value in deficits.items() if len(users[user]) >= 20), default=0.0),
        deficit_total=total,
    )


def fair_share_deficits(ran: Sequence[Ran], gpus: int) -> tuple[dict[str, float], float]:
    """Return the deficit of each person who was entitled to 1 % or more, and of all together."""
    events: list[tuple[float, str, float, float]] = []
    for row in ran:
        number = row.gpus
        events += [
            (row.job.submitted, row.job.user, number, 0.0), (row.start, row.job.user, 0.0, number),
            (row.end, row.job.user, -number, -number),
        ]  # fmt: skip
    events.sort()
    wanted: dict[str, float] = {}
    held: dict[str, float] = {}
    entitled: dict[str, float] = {}
    lacked: dict[str, float] = {}
    then = events[0][0]
    for at, user, want, have in events:
        if at > then:
            for name, part in max_min({name: n for name, n in wanted.items() if n > 1e-9}, gpus).items():
                entitled[name] = entitled.get(name, 0.0) + part * (at - then)
                lack = max(0.0, part - held.get(name, 0)) * (at - then)
                lacked[name] = lacked.get(name, 0.0) + lack
            then = at
        wanted[user] = wanted.get(user, 0.0) + want
        held[user] = held.get(user, 0.0) + have
    total = sum(entitled.values())
    some = {name: lacked[name] / value for name, value in entitled.items() if value >= 0.01 * total and value}
    return some, sum(lacked.values()) / total if total else 0.0


def max_min(wanted: Mapping[str, float], gpus: int) -> dict[str, float]:
    """Return the max-min fair division of ``gpus`` among people who want so many."""
    given: dict[str, float] = {}
    left, rest = float(gpus), sorted(wanted.items(), key=lambda item: (item[1], item[0]))
    for place, (name, number) in enumerate(rest):
        given[name] = min(number, left / (len(rest) - place))
        left -= given[name]
    return given


#: What a score compares.
SCORED = ("wait_mean", "wait_p99", "wait_max", "wait_wide", "slowdown", "deficit")


def score(measures: Measures, baseline: Measures) -> tuple[float, dict[str, float]]:
    """Return the geometric mean of the six figures over the baseline's, and each of them; lower is better."""
    ratios = {
        name: getattr(measures, name) / getattr(baseline, name)
        for name in SCORED
        if getattr(baseline, name) > 0
    }
    if not ratios:
        return 1.0, {}
    floor = 1e-9
    return exp(sum(log(max(floor, value)) for value in ratios.values()) / len(ratios)), ratios
