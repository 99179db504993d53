"""The watched lab, made once for all tests of this folder."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support.engine import Engine
from support.people import People, people
from support.waiting import wait_for
from support.watched_lab import Lab, answers

__all__ = ["people"]


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, people: People, mock_nvml_library: Path
) -> Iterator[Lab]:
    """The lab in trouble; `calm` is what the dashboards showed before."""
    made = Lab(tmp_path_factory.mktemp("lab"), engine, people, mock_nvml_library)
    try:
        # Two points of a counter that grows, and with them all rates.
        held = "rate(labq_gpu_user_held_seconds_total[5m]) > 0.02 and on () rate(labq_container_cpu_seconds_total[5m]) >= 0"
        wait_for(lambda: made.series(held), 60, "Prometheus to know the job")
        wait_for(
            lambda: made.series("rate(labq_user_cpu_seconds_total[5m]) >= 0"), 60, "the accounts of people"
        )
        made.calm = answers(made)
        made.begin_trouble()
        for sign in (
            "labq_gpu_state == 4",
            "labq_gpu_xid_last_timestamp_seconds",
            "increase(labq_jobs_ended_total[5m]) > 1",
            "count(increase(labq_gpu_user_held_seconds_total[5m]) > 1) >= 4",
            'labq_gpu_holder_info{user="unknown"}',
            'rate(labq_gpu_state_seconds_total{state="reserved"}[5m]) > 0',
            'ALERTS{alertname="LabqGpuLost", alertstate="firing"}',
            "deriv(node_filesystem_avail_bytes[5m]) < 0",
        ):
            wait_for(partial(made.series, sign), 60, sign, interval=0.2)
        yield made
    finally:
        made.close()
