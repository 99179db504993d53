"""The tables. A job's whole record is kept in ``record``; the columns are what is asked by."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData()

#: One row for each finished job. A lab whose Redis was emptied counts its ids from 1 again: hence the second key.
JOBS = Table(
    "jobs",
    METADATA,
    Column("id", String(24), primary_key=True),
    Column("submitted_at", Float, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("task", Integer, nullable=False),  # index in the array; -1 = none
    Column("array", String(16)),
    Column("owner", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("tags", Text, nullable=False),  # " a b " with a space before and after each
    Column("state", String(16), nullable=False),
    Column("end_reason", String(32), nullable=False),
    Column("node", String(64)),
    Column("gpu_request", String(128), nullable=False),
    Column("started_at", Float),
    Column("ended_at", Float, nullable=False),
    Column("exit_code", Integer),
    Column("verdict", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("record", Text, nullable=False),  # JSON of the flat form (labq/job.py)
    Index("jobs_by_owner", "owner", "seq"),
    Index("jobs_by_end", "ended_at"),
    Index("jobs_by_order", "seq", "task"),
    Index("jobs_by_array", "array"),
)

#: One row for each run: what usage is counted from.
ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("job_id", String(24), primary_key=True),
    Column("submitted_at", Float, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("node", String(64), nullable=False),
    Column("gpus", Text, nullable=False),  # uuids, separated by spaces
    Column("gpu_count", Integer, nullable=False),
    Column("gpus_held", Float),  # a share of a GPU counts as its part; NULL (before it was kept) = gpu_count
    Column("model", Text),  # of the first GPU's card; "" or NULL = not known
    Column("started_at", Float),
    Column("ended_at", Float, nullable=False),
    Column("exit_code", Integer),
    Column("reason", String(32), nullable=False),
    Column("verdict", Text, nullable=False),
    Index("attempts_by_end", "ended_at"),
)

#: What agents measured (labq/usage.py): one row for each (hour, life of an agent, GPU, person, side of the queue).
USAGE = Table(
    "usage",
    METADATA,
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("node", String(64), primary_key=True),
    Column("epoch", String(128), primary_key=True),
    Column("gpu", String(128), primary_key=True),
    Column("user", String(128), primary_key=True),
    Column("outside", Boolean, primary_key=True),
    Column("model", Text, nullable=False),
    Column("held", Float, nullable=False),  # GPU-seconds
    Column("busy", Float, nullable=False),  # GPU-seconds of those
)
