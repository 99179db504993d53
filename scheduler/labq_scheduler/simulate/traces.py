"""A trace: jobs as they came and how long they ran, read from CSV."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from labq.errors import BadInputError, closest
from labq.spec import JobSpec

#: Columns that a trace must have, and those that it may.
NEEDED = ("user", "submit_s", "duration_s", "gpus")
OPTIONAL = ("job_id", "name", "gpu_model", "requested_time_s", "limit_s")
#: A replay holds every job in memory: 350 MB for so many rows, measured, before the first is replayed.
MAX_JOBS = 1_000_000
#: With empty ones, and those in which a text in quotes goes on.
MAX_LINES = 2 * MAX_JOBS
#: Letters.
MAX_LINE = 100_000


@dataclass(frozen=True, slots=True)
class TraceJob:
    """One job of a trace. Seconds."""

    id: str
    user: str
    #: since the trace's start
    submitted: float
    #: how long it ran
    duration: float
    gpus: int
    #: lower case; empty = any
    models: tuple[str, ...] = ()
    #: after which it would have been killed; None = never
    limit: float | None = None
    name: str = ""
    #: all that it asked for, where that is known; ``gpus`` and ``models`` repeat a part of it
    spec: JobSpec | None = None


def read_trace(path: Path) -> list[TraceJob]:
    """Return the jobs of a CSV file (also ``.gz``) in order of submission.

    Raises:
        BadInputError: the file cannot be read or a line is not legal: the line and what it says are quoted.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            return read_lines(_bounded(stream, str(path)), str(path))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise BadInputError(f"{path} cannot be read as CSV: {why}", "name a CSV file, also .csv.gz") from None


def read_lines(lines: Iterable[str], source: str) -> list[TraceJob]:
    """Return the jobs of CSV lines, the first of which names the columns.

    Raises:
        BadInputError: as :func:`read_trace`.
    """
    reader = csv.DictReader(lines)
    columns = reader.fieldnames or ()
    for name in NEEDED:
        if name not in columns:
            near = closest(name, list(columns))
            found = ", ".join(repr(column[:40]) for column in columns[:12]) or "none"
            raise BadInputError(
                f"{source} has no column {name!r}"
                + (f" (but {near!r})" if near else "")
                + f"; it has {found}",
                f"the first line names the columns, separated by commas; needed are {', '.join(NEEDED)}; understood are also {', '.join(OPTIONAL)}",
            )
    jobs = []
    for number, row in enumerate(reader, 1):
        where = f"{source}, line {reader.line_num}"
        if number > MAX_JOBS:
            raise BadInputError(f"{where}: these are more than {MAX_JOBS:,} jobs", "replay a part of them")
        if None in row or None in row.values():
            raise BadInputError(
                f"{where} does not have the {len(columns)} fields of the first line",
                "put texts with commas in quotes",
            )
        jobs.append(_job(row, where, number))
    if not jobs:
        raise BadInputError(f"{source} has no jobs", "give it a line for each job")
    return sorted(jobs, key=lambda job: job.submitted)


def ignored(columns: Sequence[str]) -> list[str]:
    """Return the columns that say nothing to a replay; one that is nearly the name of another is told with it."""
    found = []
    for column in columns:
        if column not in {*NEEDED, *OPTIONAL}:
            near = closest(column, [name for name in OPTIONAL if name not in columns])
            shown = column if column.isprintable() else repr(column)  # a terminal obeys what is not
            found.append(shown[:40] + (f" (did you mean {near}?)" if near else ""))
    return found


def first_line(path: Path) -> list[str]:
    """Return the names of the columns of a file that was read."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
        return next(csv.reader(stream), [])


def _bounded(stream: IO[str], source: str) -> Iterator[str]:
    """Yield the lines; a file without line ends is not read to its end into memory."""
    number = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise BadInputError(
                f"{source}, line {number} is longer than {MAX_LINE:,} letters",
                "name a CSV file, also .csv.gz",
            )
        if number > MAX_LINES:  # empty ones are no jobs, and a small .gz may hold thousands of millions
            raise BadInputError(f"{source} has more than {MAX_LINES:,} lines", "replay a part of them")
        yield line


def _job(row: dict[str, str], where: str, number: int) -> TraceJob:
    limit = (row.get("limit_s") or row.get("requested_time_s") or "").strip()
    gpus = _number(row, "gpus", where)
    if gpus != int(gpus) or gpus > 1024:
        raise BadInputError(
            f"{where}: gpus {row['gpus']!r} is no whole number up to 1024", "write 0, 1, 2, …"
        )
    return TraceJob(
        id=(row.get("job_id") or "").strip() or str(number),
        user=(row["user"] or "").strip() or "nobody",
        submitted=_number(row, "submit_s", where),
        duration=max(1.0, _number(row, "duration_s", where)),
        gpus=int(gpus),
        models=_models(row.get("gpu_model") or ""),
        limit=_number({"limit_s": limit}, "limit_s", where) if limit else None,
        name=(row.get("name") or "").strip(),
    )


def _models(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in text.split("|") if part.strip())


def _number(row: dict[str, str], column: str, where: str) -> float:
    text = (row.get(column) or "").strip()
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e12:
        raise BadInputError(
            f"{where}: {column} {text!r} is no number of 0 or more", "write seconds or GPUs as 3600"
        )
    return number


def offered_load(jobs: Sequence[TraceJob], gpus: int) -> float:
    """Return the GPU-seconds of the jobs over those that the machines have from the first to the last submission."""
    span = max(1.0, jobs[-1].submitted - jobs[0].submitted)
    return sum(job.duration * job.gpus for job in jobs) / span / max(1, gpus)
