"""Buckets."""

from __future__ import annotations

from labq_scheduler.metrics.histogram import Histogram


def test_buckets_add_up_and_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram((1, 5))
    for value in (0.5, 1.0, 3.0, 5.0, 99.0):
        histogram.observe(value)
    assert histogram.read() == ([("1.0", 2.0), ("5.0", 4.0), ("+Inf", 5.0)], 108.5)


def test_an_empty_one_has_all_buckets() -> None:
    assert Histogram((1, 5)).read() == ([("1.0", 0.0), ("5.0", 0.0), ("+Inf", 0.0)], 0.0)
