"""A database of an older labq gets the new columns, and its rows count."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_job

from labq.ending import EndReason
from labq.job import Attempt, Job
from labq.node import Gpu
from labq.states import JobState
from labq_scheduler.records.history import History

GB = 2**30
OLD = """
CREATE TABLE jobs (
  id VARCHAR(24) NOT NULL, submitted_at FLOAT NOT NULL, seq INTEGER NOT NULL, task INTEGER NOT NULL,
  "array" VARCHAR(16), owner VARCHAR(64) NOT NULL, name VARCHAR(64) NOT NULL, tags TEXT NOT NULL,
  state VARCHAR(16) NOT NULL, end_reason VARCHAR(32) NOT NULL, node VARCHAR(64), gpu_request VARCHAR(128) NOT NULL,
  started_at FLOAT, ended_at FLOAT NOT NULL, exit_code INTEGER, verdict TEXT NOT NULL, note TEXT NOT NULL,
  record TEXT NOT NULL, PRIMARY KEY (id, submitted_at));
CREATE TABLE attempts (
  job_id VARCHAR(24) NOT NULL, submitted_at FLOAT NOT NULL, number INTEGER NOT NULL, owner VARCHAR(64) NOT NULL,
  node VARCHAR(64) NOT NULL, gpus TEXT NOT NULL, gpu_count INTEGER NOT NULL, started_at FLOAT,
  ended_at FLOAT NOT NULL, exit_code INTEGER, reason VARCHAR(32) NOT NULL, verdict TEXT NOT NULL,
  PRIMARY KEY (job_id, submitted_at, number));
CREATE INDEX attempts_by_end ON attempts (ended_at);
INSERT INTO jobs VALUES ('1', 1000.0, 1, -1, NULL, 'ann', 'old', '  ', 'succeeded', 'completed', 'n1', '2', 2000.0,
  5600.0, 0, 'Over.', '', '{}');
INSERT INTO attempts VALUES ('1', 1000.0, 1, 'ann', 'n1', 'a b', 2, 2000.0, 5600.0, 0, 'completed', 'Over.');
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    connection = sqlite3.connect(tmp_path / "records.sqlite")
    connection.executescript(OLD)
    connection.close()
    return tmp_path


def ended(job_id: str, **wire: str) -> Job:
    attempt = Attempt(1, "n1", ("a",), "l", 2000.0, 5600.0, 0, EndReason.COMPLETED, "Over.")
    return replace(make_job(job_id, JobState.SUCCEEDED, **wire), attempts=(attempt,))


def columns(directory: Path, table: str) -> set[str]:
    connection = sqlite3.connect(directory / "records.sqlite")
    try:
        return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    finally:
        connection.close()


def test_rows_without_the_new_columns_count_their_gpus(old: Path) -> None:
    history = History("", old)
    assert history.open() is False
    assert history.allocated("user", 0.0, 10_000.0, None) == [("ann", 7200.0, 1)]
    ((key, run),) = history.runs(0.0)
    assert (key, run.gpus, run.model) == (("1", 1000.0, 1), 2.0, "")
    assert {"gpus_held", "model"} <= columns(old, "attempts")
    history.close()


def test_old_and_new_rows_add_up_and_opening_again_changes_nothing(old: Path) -> None:
    for number in (2, 3):
        history = History("", old)
        history.put([ended(str(number), gpus="share:6GB")], {"a": Gpu("a", 0, "A100", 24 * GB)})
        history.close()
    history = History("", old)
    assert history.allocated("user", 0.0, 10_000.0, None) == [("ann", 7200.0 + 2 * 900.0, 3)]
    assert history.allocated("node", 3800.0, 10_000.0, "ann") == [("n1", 3600.0 + 2 * 450.0, 3)]
    assert history.allocated("user", 0.0, 10_000.0, "bob") == []
    history.close()


def test_what_was_known_of_a_card_stays_when_its_node_is_gone(tmp_path: Path) -> None:
    history = History("", tmp_path)
    job = ended("2", gpus="share:6GB")
    history.put([job], {"a": Gpu("a", 0, "A100", 24 * GB)})
    history.put([replace(job, note="a later note")])
    ((_, run),) = history.runs(0.0)
    assert (run.gpus, run.model) == (0.25, "A100")
    history.close()


def test_two_servers_may_open_an_old_database_at_the_same_time(old: Path) -> None:
    from sqlalchemy import MetaData, create_engine, text

    from labq_scheduler.records import columns as module
    from labq_scheduler.records.tables import ATTEMPTS

    engine = create_engine(f"sqlite:///{old}/records.sqlite")
    metadata = MetaData()
    ATTEMPTS.to_metadata(metadata)
    looked = module._columns
    first = True

    def slow(*arguments: object) -> set[str]:
        """Answers what was there before the other server added a column."""
        nonlocal first
        found = looked(*arguments)  # type: ignore[arg-type]
        if first:
            first = False
            with engine.begin() as connection:
                connection.execute(text("ALTER TABLE attempts ADD COLUMN gpus_held FLOAT"))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_columns", slow)
        assert module.add_missing(engine, metadata) == ["attempts.model"]
    engine.dispose()
    assert {"gpus_held", "model"} <= columns(old, "attempts")
