"""Paths of routes. Pure."""

from __future__ import annotations

from labq.client.address import quote


def part(text: str) -> str:
    """Return ``text`` as one part of a path."""
    return quote(text).replace("/", "%2F")


def job(job_id: str) -> str:
    """Return the route of a job.

    Raises:
        BadInputError: what is no id is not sent.
    """
    number, dot, index = job_id.partition(".")
    if not (number.isascii() and number.isdigit()) or (dot and not (index.isascii() and index.isdigit())):
        from labq.ids import check_job_id

        check_job_id(job_id)
    return f"/v1/jobs/{job_id}"
