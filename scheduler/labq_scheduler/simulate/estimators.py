"""Estimators of the baselines that replays are compared with. The lab's own is policy/runtimes.py."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from labq_scheduler.policy.runtimes import UNKNOWN, Estimate, Kind

#: Minutes by which an estimate that proved wrong is corrected, one after the other (Tsafrir et al., TPDS 2007).
LADDER = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 3000, 6000)


class _Corrected:
    """Predicts once for each job, which it knows by its name; corrects what proved wrong by the ladder."""

    def kind(self, kind: Kind) -> Kind:
        return kind

    def kinds(self, owner: str) -> int:
        return 0

    def version(self, owner: str) -> int:
        return 0

    def expected(self, typical: float) -> float:
        return typical

    def total(self, kind: Kind, limit: float | None, safe: float, elapsed: float) -> float:
        if elapsed < safe:
            return safe
        for more in accumulate(LADDER):
            if elapsed < safe + 60 * more:
                return safe + 60.0 * more
        return elapsed + 60.0 * LADDER[-1]


class Oracle(_Corrected):
    """Knows how long each job runs; jobs are told apart by their names."""

    def __init__(self, durations: Mapping[str, float]) -> None:
        self._durations = durations

    def add(self, kind: Kind, seconds: float) -> None:
        """Know it already."""

    def estimate(self, kind: Kind, limit: float | None) -> Estimate:
        """Return the truth."""
        return Estimate(self._durations[kind.name], self._durations[kind.name])


class Fixed(_Corrected):
    """Takes every job for as long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def kind(self, kind: Kind) -> Kind:
        """Take all of a person's jobs for alike."""
        return kind._replace(name="")

    def add(self, kind: Kind, seconds: float) -> None:
        """Learn nothing."""

    def estimate(self, kind: Kind, limit: float | None) -> Estimate:
        """Return the same for all."""
        return Estimate(self._seconds, self._seconds)


class LastTwo(_Corrected):
    """The mean of the person's last two runs of that number of GPUs, else of the last two, else an hour; when it came."""

    def __init__(self) -> None:
        self._runs: dict[tuple[str, int | None], tuple[float, ...]] = {}
        self._said: dict[Kind, Estimate] = {}

    def add(self, kind: Kind, seconds: float) -> None:
        """Keep the last two."""
        self._said.pop(kind, None)
        for key in ((kind.owner, kind.gpus), (kind.owner, None)):
            self._runs[key] = (*self._runs.get(key, ()), seconds)[-2:]

    def estimate(self, kind: Kind, limit: float | None) -> Estimate:
        """Return the mean, as it was when the job was asked for first."""
        if (said := self._said.get(kind)) is not None:
            return said
        runs = self._runs.get((kind.owner, kind.gpus)) or self._runs.get((kind.owner, None)) or (UNKNOWN,)
        mean = max(1.0, sum(runs) / len(runs))
        said = self._said[kind] = Estimate(mean, mean, len(runs))
        return said
