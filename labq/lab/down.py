"""Stopping the lab of this machine; containers run on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from labq.client import Client
from labq.errors import LabqError, UnavailableError
from labq.lab import record
from labq.lab.supervisor import PATIENCE, end_orphans


def stop(data_dir: Path, report: Callable[[str], None]) -> int:
    """Stop what runs with this data directory, and say what runs on.

    Raises:
        UnavailableError: it did not stop.
    """
    found = record.read(data_dir)
    running = found is not None and any(
        process.alive() for process in (found.supervisor, *found.children.values())
    )
    if found is None or not running:
        report(f"labq does not run here (data directory {data_dir}; another: labq down --data-dir DIR)")
        return 0
    jobs = _jobs_here(found.server, data_dir)
    if found.supervisor.alive():
        found.supervisor.signal(signal.SIGTERM)
        if not found.supervisor.wait(sum(PATIENCE.values()) + 10.0):
            raise UnavailableError(
                f"labq (process {found.supervisor.pid}) does not stop", f"look at {data_dir / 'log'}"
            )
    end_orphans(data_dir, report)
    report(f"labq is down ({found.server})")
    if jobs:
        many = "jobs run" if len(jobs) > 1 else "job runs"
        report(f"  {len(jobs)} {many} on in containers ({', '.join(jobs[:10])}); `labq up` takes over again")
    return 0


def _jobs_here(server: str, data_dir: Path) -> list[str]:
    """Return the jobs that hold this machine; empty when nobody can say."""
    try:
        token = (data_dir / "token").read_text().strip()
        nodes = Client(server, token).nodes()
    except (OSError, LabqError):
        return []
    return [str(job) for node in nodes for job in node.get("jobs", [])]
