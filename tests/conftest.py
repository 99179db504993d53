"""Marks each test by its folder, brings in the shared fixtures, and keeps benchmarks out of test runs."""

import signal
from pathlib import Path

import pytest

pytest_plugins = [
    "support.engine_fixtures",
    "support.lab_fixtures",
    "support.nvml",
    "support.redis",
    "support.slack",
    "support.systemd_node_fixtures",
]

HERE = Path(__file__).parent
# Measurements want a machine of their own and have a program of their own (`make bench`).
collect_ignore = ["bench"]
FOLDERS = {"unit", "contract", "integration", "e2e", "chaos", "nodes"}


def pytest_configure() -> None:
    """A shell without job control lets what it starts with `&` ignore Ctrl-C, and so would all that tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives each test the mark of its folder, so `-m unit` works without a line in every file."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder in FOLDERS:
            item.add_marker(folder)
