"""Samples -> the text that Prometheus reads. The only importer of prometheus_client in the server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from labq_scheduler.metrics.histogram import Histogram
from labq_scheduler.metrics.samples import Sample
from labq_scheduler.metrics.table import TABLE

_FAMILIES: dict[str, Callable[..., GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily]] = {
    "gauge": GaugeMetricFamily,
    "info": GaugeMetricFamily,  # a gauge that is 1: only OpenMetrics knows the type info
    "counter": CounterMetricFamily,
    "histogram": HistogramMetricFamily,
}


def render(samples: Iterable[Sample], accept: str = "") -> tuple[bytes, str]:
    """Return the page and its content type: OpenMetrics when ``accept`` asks for it, else the plain text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now(samples))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Now(Collector):
    """The samples as families, in the order of the table."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._by_name: dict[str, list[Sample]] = {}
        for sample in samples:
            self._by_name.setdefault(sample.name, []).append(sample)

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        for row in TABLE:
            if row.name not in self._by_name:
                continue
            family = _FAMILIES[row.kind](row.name, row.help, labels=row.labels)
            for sample in sorted(self._by_name[row.name], key=lambda one: one.labels):
                value = sample.value.read() if isinstance(sample.value, Histogram) else (sample.value,)
                family.add_metric(sample.labels, *value)
            yield family
