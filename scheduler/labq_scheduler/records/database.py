"""The engine behind the records: SQLite in the data directory, or whatever ``LABQ_RECORDS_URL`` names."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from labq.errors import BadInputError, UnavailableError
from labq_scheduler.records.columns import add_missing
from labq_scheduler.records.tables import ATTEMPTS, JOBS, METADATA
from labq_scheduler.records.usage import UsageTable

if TYPE_CHECKING:
    from labq_scheduler.verbs.listing import Question

__all__ = ["Database", "SQLAlchemyError"]

Row = dict[str, Any]


class Database:
    """The tables. Every method is one transaction; use it from any thread."""

    def __init__(self, url: str, data_dir: Path) -> None:
        """Open, and create what is missing.

        Raises:
            BadInputError: the URL names no database that can be used.
            UnavailableError: it does not answer.

        Attributes:
            fresh: True when no job is recorded yet, whoever made the tables: earlier ones are to be recorded again.
            usage: who used how many GPUs.
        """
        try:
            self._engine = _engine(url, data_dir)
            METADATA.create_all(self._engine)
            add_missing(self._engine, METADATA)
            self.usage = UsageTable(self._engine)
            with self._engine.connect() as connection:
                self.fresh = connection.execute(select(JOBS.c.id).limit(1)).first() is None
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            # The URL itself may hold a password: name the variable only.
            raise BadInputError(
                f"LABQ_RECORDS_URL cannot be used ({type(error).__name__})",
                "write sqlite:////path/records.sqlite or postgresql+psycopg://USER:PASSWORD@HOST/NAME, "
                "and install its driver",
            ) from None
        except SQLAlchemyError as error:
            raise UnavailableError(
                f"the database of the records does not answer ({type(error).__name__})",
                "look at LABQ_RECORDS_URL and the data directory",
            ) from error

    def put(self, jobs: Sequence[Row], attempts: Sequence[Row]) -> None:
        """Write rows, replacing those of the same jobs: doing it twice is the same as once.

        What was known of a run's card stays when it is known no more (its node was removed).
        """
        if not jobs:
            return
        with self._engine.begin() as connection:
            keys = [(row["id"], row["submitted_at"]) for row in jobs]
            for start in range(0, len(keys), 200):
                part = keys[start : start + 200]
                _keep_cards(connection, part, attempts)
                connection.execute(delete(JOBS).where(tuple_(JOBS.c.id, JOBS.c.submitted_at).in_(part)))
                connection.execute(
                    delete(ATTEMPTS).where(tuple_(ATTEMPTS.c.job_id, ATTEMPTS.c.submitted_at).in_(part))
                )
            connection.execute(insert(JOBS), list(jobs))
            if attempts:
                connection.execute(insert(ATTEMPTS), list(attempts))

    def get(self, job_id: str) -> str | None:
        """Return the record of the newest job with that id."""
        found = self._records(select(JOBS.c.record).where(JOBS.c.id == job_id).order_by(JOBS.c.submitted_at))
        return found[-1] if found else None

    def array(self, array_id: str) -> list[str]:
        """Return the records of the newest array with that id, in order."""
        newest = select(func.max(JOBS.c.submitted_at)).where(JOBS.c.array == array_id).scalar_subquery()
        wanted = select(JOBS.c.record).where(JOBS.c.array == array_id, JOBS.c.submitted_at == newest)
        return self._records(wanted.order_by(JOBS.c.task))

    def states(self, ids: Sequence[str]) -> list[tuple[str, str, float]]:
        """Return (id asked for, state, submitted_at) of each job, or task of an array, that ``ids`` name."""
        found: list[tuple[str, str, float]] = []
        with self._engine.connect() as connection:
            for start in range(0, len(ids), 200):
                part = list(ids[start : start + 200])
                for name in (JOBS.c.id, JOBS.c.array):
                    rows = connection.execute(
                        select(name, JOBS.c.state, JOBS.c.submitted_at).where(name.in_(part))
                    )
                    found += [(str(row[0]), str(row[1]), float(row[2])) for row in rows]
        return found

    def set_note(self, job_id: str, submitted_at: float, note: str, record: str) -> bool:
        """Change a note; return whether the job is there."""
        wanted = update(JOBS).where(JOBS.c.id == job_id, JOBS.c.submitted_at == submitted_at)
        with self._engine.begin() as connection:
            return connection.execute(wanted.values(note=note, record=record)).rowcount > 0

    def find(self, question: Question, until: float) -> tuple[list[str], int]:
        """Return the newest matching records that ended before ``until``, and how many match on all pages."""
        conditions: list[ColumnElement[bool]] = [
            JOBS.c.ended_at < until,
            JOBS.c.ended_at >= question.since,
            JOBS.c.state.in_([str(state) for state in question.states]),
        ]
        if question.owner is not None:
            conditions.append(JOBS.c.owner == question.owner)
        if question.tag is not None:
            conditions.append(JOBS.c.tags.contains(f" {question.tag} ", autoescape=True))
        if question.name is not None:
            conditions.append(JOBS.c.name == question.name)
        if question.array is not None:
            conditions.append(JOBS.c.array == question.array)
        page = select(JOBS.c.record).where(*conditions)
        if question.before is not None:
            page = page.where(tuple_(JOBS.c.seq, JOBS.c.task) < tuple_(*question.before))
        page = page.order_by(JOBS.c.seq.desc(), JOBS.c.task.desc()).limit(question.limit + 1)
        with self._engine.connect() as connection:
            total = connection.execute(select(func.count()).where(*conditions)).scalar_one()
        return self._records(page), total

    def ping(self) -> None:
        """Ask it something small.

        Raises:
            SQLAlchemyError: it does not answer.
        """
        with self._engine.connect() as connection:
            connection.execute(select(1))

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _records(self, statement: Any) -> list[str]:
        with self._engine.connect() as connection:
            rows: Iterable[Any] = connection.execute(statement).scalars()
            return [str(text) for text in rows]


def _keep_cards(connection: Connection, jobs: Sequence[tuple[str, float]], attempts: Sequence[Row]) -> None:
    key = (ATTEMPTS.c.job_id, ATTEMPTS.c.submitted_at)
    wanted = select(*key, ATTEMPTS.c.number, ATTEMPTS.c.model, ATTEMPTS.c.gpus_held)
    found = connection.execute(wanted.where(tuple_(*key).in_(jobs), ATTEMPTS.c.model != ""))
    known = {(row[0], row[1], row[2]): {"model": row[3], "gpus_held": row[4]} for row in found}
    for row in attempts:
        if not row["model"]:
            row.update(known.get((row["job_id"], row["submitted_at"], row["number"]), {}))


def _engine(url: str, data_dir: Path) -> Engine:
    chosen = make_url(url) if url else make_url("sqlite://").set(database=str(data_dir / "records.sqlite"))
    if chosen.get_backend_name() != "sqlite":
        return create_engine(chosen, pool_size=2, max_overflow=4, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(
        chosen, connect_args={"timeout": 10}, pool_size=2, max_overflow=4, hide_parameters=True
    )
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # WAL: readers and the recorder do not wait for each other; NORMAL loses no committed batch in a
    # crash of the process, and after a power cut the cursor is asked again (recorder.py).
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
