"""Addresses of pages about a job. Pure."""

from __future__ import annotations

from urllib.parse import urlencode

#: Seconds shown before the start and after the end of a job.
MARGIN = 300.0


def grafana_job(base: str, owner: str, job: str, begin: float | None = None, end: float | None = None) -> str:
    """Return the address of the dashboard "My jobs" with one job, or one person when ``job`` is empty.

    Args:
        base: address of Grafana.
        owner: the person.
        job: id of the job; "" = all of the person's.
        begin: when it started, seconds since the epoch; None = the dashboard's own time.
        end: when it ended; None = it still runs.
    """
    query = {"var-user": owner} | ({"var-job": job} if job else {})
    if begin is not None:
        to = "now" if end is None else f"{(end + MARGIN) * 1000:.0f}"
        query |= {"from": f"{(begin - MARGIN) * 1000:.0f}", "to": to}
    return f"{base.rstrip('/')}/d/labq-my-jobs?{urlencode(query)}"
