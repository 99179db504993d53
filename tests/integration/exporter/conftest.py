"""Fixtures for tests of the whole exporter."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.exporter import RunningExporter
from support.nvml import MockNvml, gpu_line
from support.people import people

__all__ = ["exporter", "exporters", "people"]

Make = Callable[..., RunningExporter]


@pytest.fixture
def exporters(mock_nvml: MockNvml, tmp_path: Path) -> Iterator[Make]:
    """Makes exporters, which are not started yet; they end with the test."""
    made: list[RunningExporter] = []

    def make(engines: tuple[str, ...] = (), **settings: str) -> RunningExporter:
        made.append(RunningExporter(mock_nvml, tmp_path, engines, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def exporter(exporters: Make, mock_nvml: MockNvml) -> RunningExporter:
    """One that runs and sees two GPUs, and no engine."""
    mock_nvml.write("driver 580.95.05", gpu_line(0, util=50), gpu_line(1))
    started = exporters().start()
    started.wait(lambda page: page.value("labq_gpu_up", gpu="1") == 1)
    return started
