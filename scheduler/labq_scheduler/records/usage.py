"""Who used how many GPUs: what is asked of the tables ``attempts`` and ``usage``. Seconds in, GPU-seconds out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, func, insert, literal, select, tuple_, update
from sqlalchemy.engine import Engine

from labq.usage import HOUR, UsageRow
from labq_scheduler.records.tables import ATTEMPTS, JOBS, USAGE

_KEY = ("hour", "node", "epoch", "gpu", "user", "outside")
#: Keys in one question: SQLite takes 32,766 parameters, older ones 999.
_PART = 100
Number = ColumnElement[float]


class UsageTable:
    """The two tables as accounts. Every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        """Use ``engine``."""
        self._engine = engine

    def put(self, rows: Sequence[UsageRow]) -> None:
        """Write rows; of two with one key the larger numbers stay, so that any order and any repetition is right."""
        merged: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in rows:
            body = asdict(row)
            key = tuple(body[name] for name in _KEY)
            old = merged.get(key, body)
            merged[key] = body | {name: max(body[name], old[name]) for name in ("held", "busy")}
        keys = list(merged)
        with self._engine.begin() as connection:
            for start in range(0, len(keys), _PART):
                part = keys[start : start + _PART]
                columns = [USAGE.c[name] for name in _KEY]
                found = connection.execute(select(*columns).where(tuple_(*columns).in_(part)))
                known = {tuple(row) for row in found}
                if old_rows := [_new_values(merged[key]) for key in part if key in known]:
                    connection.execute(_ENLARGE, old_rows)
                if new_rows := [merged[key] for key in part if key not in known]:
                    connection.execute(insert(USAGE), new_rows)

    def allocated(
        self, by: str, since: float, until: float, owner: str | None
    ) -> list[tuple[str, float, int]]:
        """Return (owner or node, GPU-seconds of runs that are over, number of their jobs) in the window."""
        key = ATTEMPTS.c[{"user": "owner", "node": "node"}[by]]
        seconds = _least(ATTEMPTS.c.ended_at, until) - _greatest(ATTEMPTS.c.started_at, since)
        held = func.sum(seconds * func.coalesce(ATTEMPTS.c.gpus_held, ATTEMPTS.c.gpu_count))
        inside = [ATTEMPTS.c.started_at < until, ATTEMPTS.c.ended_at > since]
        if owner is not None:
            inside.append(ATTEMPTS.c.owner == owner)
        # A job is its id and its submission: a lab whose Redis was emptied counts from 1 again.
        jobs = select(key.label("key"), ATTEMPTS.c.job_id, ATTEMPTS.c.submitted_at).where(*inside).distinct()
        counted = jobs.subquery()
        with self._engine.connect() as connection:
            sums = connection.execute(select(key, held).where(*inside).group_by(key)).all()
            counts = connection.execute(select(counted.c.key, func.count()).group_by(counted.c.key)).all()
        numbers = {str(row[0]): int(row[1]) for row in counts}
        return [(str(row[0]), float(row[1]), numbers.get(str(row[0]), 0)) for row in sums]

    def measured(
        self, by: str, since: float, until: float, now: float, user: str | None
    ) -> list[tuple[str, bool, float, float]]:
        """Return (user or node, outside, held, busy) of the window; an hour that it cuts gives its part."""
        key = USAGE.c[by]
        # The bucket of the present hour is filled up to now only.
        end = _least(USAGE.c.hour + HOUR, now)
        part = (_least(end, until) - _greatest(USAGE.c.hour, since)) / _greatest(end - USAGE.c.hour, 1.0)
        inside = [USAGE.c.hour < min(until, now), USAGE.c.hour > since - HOUR]
        if user is not None:
            inside.append(USAGE.c.user == user)
        sums = func.sum(USAGE.c.held * part), func.sum(USAGE.c.busy * part)
        with self._engine.connect() as connection:
            rows = connection.execute(
                select(key, USAGE.c.outside, *sums).where(*inside).group_by(key, USAGE.c.outside)
            ).all()
        return [(str(row[0]), bool(row[1]), float(row[2]), float(row[3])) for row in rows]

    def runs(self, since: float) -> list[tuple[str, float, int, str, str, float, float, float]]:
        """Return the runs with GPUs that ended after ``since``.

        Each is (job id, submitted at, number, owner, model, GPUs held, started at, ended at).
        """
        held = func.coalesce(ATTEMPTS.c.gpus_held, ATTEMPTS.c.gpu_count)
        wanted = select(
            ATTEMPTS.c.job_id,
            ATTEMPTS.c.submitted_at,
            ATTEMPTS.c.number,
            ATTEMPTS.c.owner,
            func.coalesce(ATTEMPTS.c.model, ""),
            held,
            ATTEMPTS.c.started_at,
            ATTEMPTS.c.ended_at,
        ).where(ATTEMPTS.c.ended_at > since, ATTEMPTS.c.started_at.is_not(None), held > 0)
        with self._engine.connect() as connection:
            return [
                (
                    str(r[0]),
                    float(r[1]),
                    int(r[2]),
                    str(r[3]),
                    str(r[4]),
                    float(r[5]),
                    float(r[6]),
                    float(r[7]),
                )
                for r in connection.execute(wanted)
            ]

    def lengths(
        self, most: int, reasons: Collection[str]
    ) -> list[tuple[float, str, float, int, str, str, int, float]]:
        """Return the newest runs, ``most`` at most, that ended for one of these reasons; oldest first.

        Each is (ended at, job id, submitted at, number, owner, name, GPUs, seconds).
        """
        seconds = ATTEMPTS.c.ended_at - ATTEMPTS.c.started_at
        job = and_(JOBS.c.id == ATTEMPTS.c.job_id, JOBS.c.submitted_at == ATTEMPTS.c.submitted_at)
        wanted = (
            select(
                ATTEMPTS.c.ended_at,
                ATTEMPTS.c.job_id,
                ATTEMPTS.c.submitted_at,
                ATTEMPTS.c.number,
                ATTEMPTS.c.owner,
                JOBS.c.name,
                ATTEMPTS.c.gpu_count,
                seconds,
            )
            .select_from(ATTEMPTS.join(JOBS, job))
            .where(ATTEMPTS.c.started_at.is_not(None), ATTEMPTS.c.reason.in_(sorted(reasons)))
            .order_by(ATTEMPTS.c.ended_at.desc())
            .limit(most)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(wanted).all()
        return [
            (float(r[0]), str(r[1]), float(r[2]), int(r[3]), str(r[4]), str(r[5]), int(r[6]), float(r[7]))
            for r in reversed(rows)
        ]

    def outside(self, since: float) -> list[UsageRow]:
        """Return what was held outside the queue since that hour."""
        wanted = select(USAGE).where(USAGE.c.outside.is_(True), USAGE.c.hour > since)
        with self._engine.connect() as connection:
            return [UsageRow(**row) for row in connection.execute(wanted).mappings()]


def _least(left: Number, right: float | Number) -> Number:
    other = right if isinstance(right, ColumnElement) else literal(right)
    return case((left < other, left), else_=other)


def _greatest(left: Number, right: float | Number) -> Number:
    other = right if isinstance(right, ColumnElement) else literal(right)
    return case((left > other, left), else_=other)


#: Names of the parameters of an update must differ from those of its columns.
def _new_values(body: dict[str, Any]) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in body.items() if name != "model"}


_ENLARGE = (
    update(USAGE)
    .where(and_(*(USAGE.c[name] == bindparam(f"new_{name}") for name in _KEY)))
    .values({name: _greatest(USAGE.c[name], bindparam(f"new_{name}")) for name in ("held", "busy")})
)
