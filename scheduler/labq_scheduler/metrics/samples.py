"""One value of one metric. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from labq_scheduler.metrics.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Sample:
    """A value with the labels of its metric, in the order of the table."""

    name: str
    value: float | Histogram
    labels: tuple[str, ...] = ()
