"""A snapshot -> the page in Prometheus' text format. The only importer of prometheus_client.

Each group of families is guarded: one that fails is left out, the others stay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from labq_exporter.families import GROUPS, Row
from labq_exporter.snapshot import Snapshot
from labq_exporter.table import BY_NAME

log = logging.getLogger(__name__)
CONTENT_TYPE = CONTENT_TYPE_LATEST
_OF_THIS_PROCESS = CollectorRegistry()
ProcessCollector(registry=_OF_THIS_PROCESS)


def render(snapshot: Snapshot) -> bytes:
    """Return the page of a snapshot; the same snapshot always gives the same bytes."""
    registry = CollectorRegistry()
    registry.register(_Snapshot(snapshot))
    return generate_latest(registry)


def own_page() -> bytes:
    """Return memory and processor time of this program."""
    return generate_latest(_OF_THIS_PROCESS)


class _Snapshot(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def describe(self) -> Iterable[Metric]:
        return []  # the table has no two families of one name: nothing to compare

    def collect(self) -> Iterator[Metric]:
        for group in GROUPS:
            yield from _families(group, self._snapshot)


def _families(group: Callable[[Snapshot], Iterable[Row]], snapshot: Snapshot) -> Sequence[Metric]:
    families: dict[str, Metric] = {}
    try:
        for name, labels, value in group(snapshot):
            family = families.get(name)
            if family is None:
                family = families[name] = _family(name)
            family.add_metric(labels, value)  # type: ignore[attr-defined]
    except Exception:
        log.exception("metrics: %s is left out", group.__name__)
    return list(families.values())


def _family(name: str) -> Metric:
    row = BY_NAME[name]
    if row.kind == "counter":
        return CounterMetricFamily(name.removesuffix("_total"), row.help, labels=row.labels)
    return GaugeMetricFamily(name, row.help, labels=row.labels)
