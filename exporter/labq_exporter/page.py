"""A snapshot -> the page in Prometheus' text format. The only importer of prometheus_client.

Each group of families is guarded: what fails is left out, the others stay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from labq.clock import now
from labq.holding.words import plain
from labq_exporter.families import DROPPED, GROUPS, Row
from labq_exporter.snapshot import Snapshot
from labq_exporter.table import BY_NAME

log = logging.getLogger(__name__)
CONTENT_TYPE = CONTENT_TYPE_LATEST
_OF_THIS_PROCESS = CollectorRegistry()
ProcessCollector(registry=_OF_THIS_PROCESS)
# Of the moment in which it is asked for, not of the last look: it goes on when the looking hangs.
_CLOCK = BY_NAME["labq_exporter_clock_timestamp_seconds"]
Gauge(_CLOCK.name, _CLOCK.help, registry=_OF_THIS_PROCESS).set_function(now)


def render(snapshot: Snapshot) -> bytes:
    """Return the page of a snapshot; the same snapshot always gives the same bytes."""
    try:
        return _written(snapshot, lambda text: text)
    except UnicodeEncodeError as error:
        # One letter that cannot be written must not take all the rest away; those who read names replace such letters.
        log.warning("metrics: a label holds a letter that cannot be written: %r", error.object[error.start])
        return _written(snapshot, plain)


def _written(snapshot: Snapshot, clean: Callable[[str], str]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Snapshot(snapshot, clean))
    return generate_latest(registry)


def own_page() -> bytes:
    """Return memory and processor time of this program, and the time."""
    return generate_latest(_OF_THIS_PROCESS)


class _Snapshot(Collector):
    def __init__(self, snapshot: Snapshot, clean: Callable[[str], str]) -> None:
        self._snapshot, self._clean = snapshot, clean

    def describe(self) -> Iterable[Metric]:
        return []  # the table has no two families of one name: nothing to compare

    def collect(self) -> Iterator[Metric]:
        twice = 0
        for group in GROUPS:
            families, more = _families(group, self._snapshot, twice, self._clean)
            twice += more
            yield from families


def _families(
    group: Callable[[Snapshot], Iterable[Row]], snapshot: Snapshot, twice: int, clean: Callable[[str], str]
) -> tuple[Sequence[Metric], int]:
    """Return the families of a group, and how many of its series were there already.

    Args:
        group: yields rows.
        snapshot: what they are made from.
        twice: series of the groups before that were there already.
        clean: makes each value of a label fit to be written.
    """
    families: dict[str, Metric] = {}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    more = 0
    try:
        for name, said, value in group(snapshot):
            labels = tuple(clean(text) for text in said)
            if (name, labels) in seen:
                # Two engines may each have a container of one name; Prometheus refuses to take a series twice.
                more += 1
                continue
            seen.add((name, labels))
            family = families.get(name)
            if family is None:
                family = families[name] = _family(name)
            family.add_metric(labels, value + twice if name == DROPPED else value)  # type: ignore[attr-defined]
    except Exception:
        log.exception("metrics: the rest of %s is left out", group.__name__)
    return list(families.values()), more


def _family(name: str) -> Metric:
    row = BY_NAME[name]
    if row.kind == "counter":
        return CounterMetricFamily(name.removesuffix("_total"), row.help, labels=row.labels)
    return GaugeMetricFamily(name, row.help, labels=row.labels)
