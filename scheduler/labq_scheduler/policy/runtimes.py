"""How long jobs run, learnt from how long jobs ran. Pure: it holds what it was told, and asks nobody.

Nobody is asked for an estimate and nobody is killed by one. A limit that its owner gave is a promise that it ends by
then, and most jobs end long before; so a limit only bounds what the same person's earlier runs say.

Where the runs come from, the first that has enough:
    1. the same person, name and number of GPUs: at least ``MIN_NAMED`` runs
    2. the same person and number of GPUs
    3. the same person
    4. everybody
    5. none: the limit, else ``UNKNOWN``

That the mean of a person's last few runs predicts nearly as well as anything, and that predictions must be corrected when
they prove wrong and never kill: Tsafrir, Etsion, Feitelson, "Backfilling using system-generated predictions rather than
user runtime estimates", IEEE TPDS 18(6), 2007.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, exp, log, log2
from typing import NamedTuple, Protocol, TypeVar

from labq_scheduler.policy.trust import LEAST, Trust

K = TypeVar("K")

#: Runs kept of each kind, and of everybody.
KEEP, KEEP_ALL = 50, 200
#: Kinds of which runs are kept; those that nobody ran for longest are forgotten first: names are made up every day.
KEEP_KINDS = 4096
#: Of the runs kept, the latest that a typical run time is the mean of.
TYPICAL_RUNS = 30
#: Of the runs kept, the latest that a safe estimate looks at; times what, it is safe.
SAFE_RUNS, SAFE_FACTOR = 20, 2.0
MIN_NAMED = 3
#: Seconds that a job is thought to run of which nothing is known.
UNKNOWN = 3600.0
#: Seconds below which no estimate goes: start and end take a while, too.
SHORTEST = 60.0
#: A run that outlived its estimate is thought to go on as long as this part of the longer runs did, when there are so many.
LONGER_PART, LONGER_RUNS = 0.75, 3
#: A run is longer than an estimate when it is so many times as long: it is not to be corrected every few minutes.
LONGER = 1.05

#: Runs longer than a job has run already that it takes to say how long it runs on.
MIN_LONGER = 3
#: What a run counts, of what the next later one does, in the spread of run times.
FADES = 0.8
#: A run of which nothing is known lasts up to so many times what is thought, or as small a part of it.
UNKNOWN_SPREAD = 4.0
#: No more than this part of a long tail is thought of: the rest has no end.
LAST_PART = 0.95


class Kind(NamedTuple):
    """What runs have in common that are thought to be alike."""

    owner: str
    name: str
    gpus: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A run time that is thought likely, and one that is planned with. Seconds."""

    typical: float
    safe: float
    #: runs that it rests on, and whose: "name", "gpus", "owner", "lab" or "none"
    runs: int = 0
    source: str = "none"


class Estimator(Protocol):
    """Who knows how long jobs run."""

    def kind(self, kind: Kind) -> Kind:
        """Return the kind that a job is estimated as: without the name if that tells no more than the others do."""

    def kinds(self, owner: str) -> int:
        """Return a number that changes whenever :meth:`kind` may have changed for a person's jobs."""

    def estimate(self, kind: Kind, limit: float | None) -> Estimate:
        """Return how long a job will run, when it starts now."""

    def expected(self, typical: float) -> float:
        """Return how long to expect a job to run for which so many seconds are typical, as far as that is to be believed."""

    def total(self, kind: Kind, limit: float | None, safe: float, elapsed: float) -> float:
        """Return the seconds that a job will have run, which has run for ``elapsed``: always more than that."""

    def version(self, owner: str) -> int:
        """Return a number that changes whenever an answer about a person's jobs may have changed."""


class Runtimes:
    """The runs of a lab. Not safe for threads: who decides gets what :meth:`frozen` returns."""

    def __init__(self) -> None:
        """Begin without any."""
        # Tuples, so that a frozen copy shares them; each dictionary in the order of the latest runs.
        self._by_name: dict[Kind, tuple[float, ...]] = {}
        self._by_gpus: dict[tuple[str, int], tuple[float, ...]] = {}
        self._by_owner: dict[str, tuple[float, ...]] = {}
        self._all: tuple[float, ...] = ()
        self._versions: dict[str, int] = {}
        self._kinds: dict[str, int] = {}
        self._trust = Trust()
        self._total = 0
        self._frozen: Runtimes | None = None

    def add(self, kind: Kind, seconds: float) -> None:
        """Note a run that ended by itself or was ended by its owner."""
        if self._all:
            self._trust.add(self.estimate(kind, None).typical, seconds)
        forgotten = _append(self._by_name, kind, seconds)
        if len(self._by_name[kind]) == MIN_NAMED:
            self._kinds[kind.owner] = self._kinds.get(kind.owner, 0) + 1
        if forgotten is not None:
            self._kinds[forgotten.owner] = self._kinds.get(forgotten.owner, 0) + 1
        _append(self._by_gpus, (kind.owner, kind.gpus), seconds)
        _append(self._by_owner, kind.owner, seconds)
        self._all = (*self._all, seconds)[-KEEP_ALL:]
        self._versions[kind.owner] = self._versions.get(kind.owner, 0) + 1
        self._total += 1
        self._frozen = None

    def forget(self) -> None:
        """Forget all runs, to be told them anew."""
        for runs in (self._by_name, self._by_gpus, self._by_owner):
            runs.clear()
        self._all, self._frozen, self._trust = (), None, Trust()
        self._total += 1
        self._versions = {owner: version + 1 for owner, version in self._versions.items()}
        self._kinds = {owner: version + 1 for owner, version in self._kinds.items()}

    def frozen(self) -> Runtimes:
        """Return them as they are now, not to be changed; the same until something is added."""
        if self._frozen is None:
            copy = Runtimes()
            copy._by_name, copy._by_gpus = dict(self._by_name), dict(self._by_gpus)
            copy._by_owner, copy._all = dict(self._by_owner), self._all
            copy._versions, copy._total = dict(self._versions), self._total
            copy._kinds, copy._trust = dict(self._kinds), replace(self._trust)
            self._frozen = copy
        return self._frozen

    def version(self, owner: str) -> int:
        """Return a number that changes with each run of a person, and of anybody while the person has none."""
        return self._versions[owner] if self._by_owner.get(owner) else -self._total

    def kind(self, kind: Kind) -> Kind:
        """Return the kind that a job is estimated as: without the name if that has too few runs."""
        return kind if self._is_named(kind) else kind._replace(name="")

    def kinds(self, owner: str) -> int:
        """Return a number that changes when a name of a person's has got enough runs, or was forgotten."""
        return self._kinds.get(owner, 0)

    def expected(self, typical: float) -> float:
        """Return how long to expect a job to run for which so many seconds are typical (policy/trust.py)."""
        return self._trust.expected(typical)

    def estimate(self, kind: Kind, limit: float | None) -> Estimate:
        """Return how long a job will run.

        ``typical`` is the geometric mean of the runs, for run times span orders of magnitude; ``safe`` is twice the median
        of the latest. Both are powers of two (or the limit), so that not every run that ends changes the order and all
        expected ends.

        Args:
            kind: of the job.
            limit: seconds after which it is stopped; None = never.
        """
        runs, source = self._runs(kind)
        most = limit if limit is not None else float("inf")
        if not runs or (source == "lab" and limit is not None):
            known = max(SHORTEST, limit) if limit is not None else UNKNOWN
            return Estimate(known, known)
        recent = list(runs)[-TYPICAL_RUNS:] if source != "lab" else runs
        typical = exp(sum(log(max(LEAST, run)) for run in recent) / len(recent))
        latest = sorted(list(runs)[-SAFE_RUNS:] if source != "lab" else runs)
        safe = SAFE_FACTOR * max(SHORTEST, latest[min(len(latest) - 1, len(latest) // 2)])
        return Estimate(
            min(most, _nearest(max(SHORTEST, typical))), min(most, _next(safe)), len(runs), source
        )

    def total(self, kind: Kind, limit: float | None, safe: float, elapsed: float) -> float:
        """Return the seconds that a job will have run, which has run for ``elapsed``.

        It changes in steps, when an expectation proves wrong: then to what three quarters of the longer runs stayed below,
        else to the double.
        """
        runs: Sequence[float] = sorted(self._by_gpus.get((kind.owner, kind.gpus), ()))
        total = max(safe, 1.0)
        while total <= elapsed:
            longer = [run for run in runs if run > LONGER * total]
            known = len(longer) >= LONGER_RUNS
            total = longer[int(LONGER_PART * (len(longer) - 1))] if known else 2 * total
        return total if limit is None else min(total, max(limit, elapsed + 1.0))

    def quantile(self, kind: Kind, limit: float | None, part: float, elapsed: float = 0.0) -> float:
        """Return the seconds that a ``part`` of the runs stays below that are longer than ``elapsed``; more than that.

        Each run counts ``FADES`` times what the next later one counts: people run the same thing many times in a row, and
        then another. Where fewer than ``MIN_LONGER`` runs are longer, the next doubling is as likely as not: a job that ran
        for an hour runs on for another with a chance of one half (Pareto's law with the exponent 1, which process lifetimes
        are near: Harchol-Balter, Downey, "Exploiting process lifetime distributions for dynamic load balancing", ACM TOCS
        15(3), 1997).

        Args:
            kind: of the job.
            limit: seconds after which it is stopped; None = never.
            part: 0 to 1.
            elapsed: seconds that it has run.
        """
        runs, source = self._runs(kind)
        ages = range(len(runs) - 1, -1, -1)
        longer = sorted((run, FADES**age) for run, age in zip(runs, ages, strict=True) if run > elapsed)
        if not runs or (source == "lab" and limit is not None):
            least = max(elapsed, (limit or UNKNOWN) / UNKNOWN_SPREAD)
            total = least * float(UNKNOWN_SPREAD ** (2 * part))
        elif longer and (not elapsed or len(longer) >= MIN_LONGER):
            total = _reached(longer, part * sum(weight for _, weight in longer))
        else:
            total = max(elapsed, SHORTEST) / (1.0 - min(part, LAST_PART))
        total = max(total, elapsed + 1.0)
        return total if limit is None else min(total, max(limit, elapsed + 1.0))

    def _runs(self, kind: Kind) -> tuple[Sequence[float], str]:
        if self._is_named(kind):
            return self._by_name[kind], "name"
        if alike := self._by_gpus.get((kind.owner, kind.gpus)):
            return alike, "gpus"
        if own := self._by_owner.get(kind.owner):
            return own, "owner"
        return self._all, "lab"

    def _is_named(self, kind: Kind) -> bool:
        return bool(kind.name) and len(self._by_name.get(kind, ())) >= MIN_NAMED


def _append(runs: dict[K, tuple[float, ...]], key: K, seconds: float) -> K | None:
    """Note a run; return the key that was forgotten for it."""
    runs[key] = (*runs.pop(key, ()), seconds)[-KEEP:]
    if len(runs) <= KEEP_KINDS:
        return None
    oldest = next(iter(runs))
    del runs[oldest]
    return oldest


def _nearest(seconds: float) -> float:
    """Return the nearest power of two: what differs by less is alike, and stands in line as one class."""
    return 2.0 ** round(log2(max(1.0, seconds)))


def _next(seconds: float) -> float:
    """Return the first power of two that is not less."""
    return 2.0 ** ceil(log2(max(1.0, seconds)) - 1e-9)


def _reached(rows: Sequence[tuple[float, float]], wanted: float) -> float:
    """Return the first of the sorted values whose weights add up to ``wanted``."""
    for value, weight in rows:
        wanted -= weight
        if wanted <= 0:
            return value
    return rows[-1][0]
