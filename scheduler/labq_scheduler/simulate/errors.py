"""How wrong forecasts and estimates are: a trace is replayed, and what would have been said is held against what came.

    python -m labq_scheduler.simulate.errors TRACE.csv --machines 14x4

Of the jobs that wait, every ``EVERY``-th is forecast when it is submitted and again when half of its wait is over (at the
first event after that). The error is |said − came| / came, of the wait that is left. Three are compared:

ours       policy/runtimes.py with its spread, several futures
last-two   the same futures, but every job runs as long as the mean of its owner's last two (Tsafrir et al., TPDS 2007)
naive      the mean of what the owner's last two jobs waited
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path

from labq.errors import LabqError
from labq_scheduler.decisions import Decisions
from labq_scheduler.forecast.ahead import Now
from labq_scheduler.forecast.lengths import MIDDLE
from labq_scheduler.forecast.outlook import DAY, Outlook, forecast
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.runtimes import Estimate, Kind, Runtimes
from labq_scheduler.simulate.estimators import LastTwo
from labq_scheduler.simulate.machines import parse_machines
from labq_scheduler.simulate.replay import Ran, Replay
from labq_scheduler.simulate.traces import TraceJob, read_trace
from labq_scheduler.snapshot import Snapshot

#: Of the jobs that wait, each so-manieth is looked at.
EVERY = 50
#: Seconds of a shorter wait than which nobody asks.
SHORTEST = 60.0
#: Decisions of one forecast, so that a long queue does not take hours.
MOST = 4000


@dataclass(slots=True)
class Both:
    """Our estimates; LastTwo learns beside them."""

    ours: Runtimes = field(default_factory=Runtimes)
    last_two: LastTwo = field(default_factory=LastTwo)
    #: |said − ran| / ran of each run: of ours, what is as likely exceeded as not, by whose estimate it was
    errors: dict[str, list[float]] = field(default_factory=lambda: {"ours": [], "last-two": []})

    def add(self, kind: Kind, seconds: float) -> None:
        """Note a run that is over."""
        guesses = {
            "ours": self.ours.quantile(kind, None, MIDDLE),
            "last-two": self.last_two.estimate(kind, None).typical,
        }
        for name, said in guesses.items():
            self.errors[name].append(abs(said - seconds) / max(1.0, seconds))
        self.ours.add(kind, seconds)
        self.last_two.add(kind, seconds)

    def estimate(self, kind: Kind, limit: float | None) -> Estimate:
        """Return ours."""
        return self.ours.estimate(kind, limit)

    def total(self, kind: Kind, limit: float | None, safe: float, elapsed: float) -> float:
        """Return ours."""
        return self.ours.total(kind, limit, safe, elapsed)

    def quantile(self, kind: Kind, limit: float | None, part: float, elapsed: float = 0.0) -> float:
        """Return ours."""
        return self.ours.quantile(kind, limit, part, elapsed)

    def kind(self, kind: Kind) -> Kind:
        """Return ours."""
        return self.ours.kind(kind)

    def kinds(self, owner: str) -> int:
        """Return ours."""
        return self.ours.kinds(owner)

    def expected(self, typical: float) -> float:
        """Return ours."""
        return self.ours.expected(typical)

    def version(self, owner: str) -> int:
        """Return ours."""
        return self.ours.version(owner)


@dataclass(frozen=True, slots=True)
class Row:
    """What was said of one job at one moment. Seconds; None = later than was looked."""

    moment: str
    came: float
    said: dict[str, float]
    #: whether the truth was within the range of ours
    within: bool

    def error(self, name: str) -> float:
        """Return |said − came| / came."""
        return abs(self.said[name] - self.came) / self.came


@dataclass(slots=True)
class Errors:
    """Watches a replay, and asks for forecasts as a person would."""

    rules: Rules
    both: Both
    #: what became of each job in a replay before this one, which is the same
    ran: Sequence[Ran]
    every: int = EVERY
    rows: list[Row] = field(default_factory=list)
    _asked: set[tuple[int, str]] = field(default_factory=set)
    _open: list[int] = field(default_factory=list)
    _next: int = 0
    _waiting: int = 0

    def see(self, snapshot: Snapshot, decisions: Decisions) -> None:
        """Look at one decision before it is applied."""
        now = snapshot.now
        while self._next < len(self.ran) and self.ran[self._next].job.submitted <= now:
            if self.ran[self._next].waited > SHORTEST:
                self._waiting += 1
                if self._waiting % self.every == 0:
                    self._open.append(self._next)
                    self._ask(snapshot, self._next, "at submit")
            self._next += 1
        for number in list(self._open):
            row = self.ran[number]
            if now >= row.start:
                self._open.remove(number)
            elif now >= row.job.submitted + row.waited / 2:
                self._open.remove(number)
                self._ask(snapshot, number, "at half the wait")

    def _ask(self, snapshot: Snapshot, number: int, moment: str) -> None:
        row, now = self.ran[number], snapshot.now
        came = row.start - now
        if came < SHORTEST:
            return
        said: dict[str, float] = {}
        ours = self._forecast(snapshot, number)
        likely = ours.likely if ours.likely is not None else ours.looked
        said["ours"] = likely - now
        last_two = self._forecast(replace(snapshot, runtimes=self.both.last_two), number)
        said["last-two"] = (last_two.likely if last_two.likely is not None else last_two.looked) - now
        before = [
            other.waited
            for other in self.ran[:number]
            if other.job.user == row.job.user and other.start <= now
        ][-2:]
        naive = sum(before) / len(before) if before else 0.0
        said["naive"] = max(0.0, naive - (now - row.job.submitted))
        within = (ours.early or ours.looked) <= row.start <= (ours.late or float("inf"))
        self.rows.append(Row(moment, came, said, within))

    def _forecast(self, snapshot: Snapshot, number: int) -> Outlook:
        left = [MOST]

        def go_on() -> bool:
            left[0] -= 1
            return left[0] >= 0

        found = forecast(
            Now.of(snapshot, self.rules, Ground()), [str(number)], horizon=60 * DAY, go_on=go_on
        ).of(str(number))
        assert found is not None  # noqa: S101 # it was asked for
        return found


def measure_errors(
    trace: Sequence[TraceJob], machines: str, rules: Rules, every: int = EVERY
) -> tuple[Errors, Both]:
    """Replay twice: to learn what becomes of each job, and to ask before it does."""
    nodes = parse_machines(machines)
    ran = Replay(nodes, rules, Runtimes()).run(trace)
    both = Both()
    errors = Errors(rules, both, ran, every)
    Replay(nodes, rules, both, see=errors.see).run(trace)
    return errors, both


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that ``part`` of the values do not exceed (nearest rank)."""
    return sorted(values)[max(0, ceil(part * len(values)) - 1)] if values else float("nan")


def table(errors: Errors, both: Both) -> str:
    """Return the figures as a table."""
    lines = [f"{'|said - came| / came':28} {'by':10} {'n':>6} {'median':>8} {'p90':>8}"]
    for moment in ("at submit", "at half the wait"):
        rows = [row for row in errors.rows if row.moment == moment]
        for name in ("ours", "last-two", "naive"):
            found = [row.error(name) for row in rows]
            lines.append(
                f"{'wait, ' + moment:28} {name:10} {len(found):6} {percentile(found, 0.5):8.2f} {percentile(found, 0.9):8.2f}"
            )
        inside = sum(row.within for row in rows) / max(1, len(rows))
        lines.append(f"{'':28} {'':10} within the range: {100 * inside:.0f} %")
    for name, found in both.errors.items():
        lines.append(
            f"{'run time':28} {name:10} {len(found):6} {percentile(found, 0.5):8.2f} {percentile(found, 0.9):8.2f}"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table of a trace; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m labq_scheduler.simulate.errors", description=__doc__)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--machines", required=True, help="such as 14x4")
    parser.add_argument("--every", type=int, default=EVERY, help="look at each so-manieth job that waits")
    parser.add_argument("--first", type=int, help="only so many jobs of the trace")
    options = parser.parse_args(arguments)
    try:
        trace = read_trace(options.trace)[: options.first]
        errors, both = measure_errors(trace, options.machines, Rules(gangs=True), max(1, options.every))
    except LabqError as error:
        sys.stderr.write(f"{error.what}; {error.next}\n")
        return 2
    sys.stdout.write(table(errors, both))
    return 0


if __name__ == "__main__":
    sys.exit(main())
