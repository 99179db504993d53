"""The table keeps to Prometheus' conventions."""

from __future__ import annotations

import re

from labq_scheduler.metrics.parts import Parts
from labq_scheduler.metrics.table import PARTS, TABLE


def test_names_are_unique_and_follow_their_type() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)
    for row in TABLE:
        assert re.fullmatch(r"labq_[a-z0-9_]+", row.name)
        assert row.name.endswith("_total") == (row.kind == "counter"), row.name
        assert row.kind in {"gauge", "counter", "histogram", "info"}
        assert row.help
        assert not row.help.endswith("."), row.name
        assert row.per, row.name


def test_no_label_is_taken_by_prometheus_or_names_processes() -> None:
    labels = {label for row in TABLE for label in row.labels}
    assert labels & {"job", "instance", "pid", "le", "command"} == set()


def test_units_are_base_units() -> None:
    for row in TABLE:
        assert not re.search(r"_(ms|millis|minutes|hours|mb|gb|percent)(_|$)", row.name)


def test_every_part_has_its_maker() -> None:
    assert all(callable(getattr(Parts, f"_{part}")) for part in PARTS)
