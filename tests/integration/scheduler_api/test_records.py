"""History: recorded once whatever dies when, and found when Redis has forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from builders import make_job
from integration.scheduler_api.server_process import FakeAgent, Server, submit
from support.waiting import wait_for

from labq.clock import now
from labq.store import Event, Store
from labq_scheduler.records.history import History
from labq_scheduler.records.recorder import CURSOR, Recorder

DAY = 86_400.0


@pytest.fixture
def store(redis_url: str) -> Store:
    return Store(redis_url)


def ended_jobs(store: Store, tmp_path: Path, count: int) -> list[str]:
    """Makes jobs that ended: every third after a retry."""
    agent, ids = FakeAgent(store, tmp_path), []
    for number in range(count):
        job = replace(make_job(retries=1, name=f"j{number}"), submitted_at=now())
        made = store.jobs.submit(job, indices=None, now=now())
        agent.run(made.id)
        if number % 3 == 0:
            agent.end(made.id, code=1)
            agent.run(made.id)
        agent.end(made.id)
        ids.append(made.id)
    return ids


def rows(tmp_path: Path, table: str = "jobs") -> list[tuple[str, ...]]:
    connection = sqlite3.connect(tmp_path / "records.sqlite")
    try:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()  # noqa: S608
    finally:
        connection.close()


def test_ended_jobs_and_their_attempts_are_recorded_as_they_are(store: Store, tmp_path: Path) -> None:
    ids = ended_jobs(store, tmp_path, 6)
    history = History("", tmp_path)
    Recorder(store, history).catch_up()
    assert [history.get(job_id) for job_id in ids] == store.jobs.get_many(ids)
    assert len(rows(tmp_path)) == 6
    assert len(rows(tmp_path, "attempts")) == 8
    history.close()


class Killed(BaseException):
    """Stands for kill -9."""


def dies(*_: object) -> None:
    raise Killed


def test_killed_at_any_line_nothing_is_lost_or_doubled(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History("", tmp_path)
    ids = ended_jobs(store, tmp_path, 1)
    Recorder(store, history).catch_up()
    history.close()
    ids += ended_jobs(store, tmp_path, 9)

    class Mortal(Recorder):
        """Dies when a part of the batch is written."""

        part = 0

        def record(self, events: Sequence[Event]) -> None:
            super().record(events[: self.part])
            raise Killed

    for part in (0, 1, 17, 1000):
        mortal = Mortal(store, history)
        mortal.part = part
        with pytest.raises(Killed):
            mortal.catch_up()
    with monkeypatch.context() as patch:  # after the commit, before the cursor
        patch.setattr(store.events, "set_cursor", dies)
        with pytest.raises(Killed):
            Recorder(store, history).catch_up()
    Recorder(store, history).catch_up()
    assert [history.get(job_id) for job_id in ids] == store.jobs.get_many(ids)
    assert (len(rows(tmp_path)), len(rows(tmp_path, "attempts"))) == (10, 14)
    history.close()


def test_killed_while_it_records_all_again_it_begins_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = History("", tmp_path / "first")
    (tmp_path / "first").mkdir()
    ids = ended_jobs(store, tmp_path, 3)
    Recorder(store, first).catch_up()
    first.close()
    history = History("", tmp_path)  # the database is new, the cursor is not
    with monkeypatch.context() as patch:
        patch.setattr(history, "put", dies)
        with pytest.raises(Killed):
            Recorder(store, history).catch_up()
    Recorder(store, history).catch_up()
    assert len(rows(tmp_path)) == len(ids)
    history.close()


def test_a_lost_database_is_filled_again_from_redis(store: Store, tmp_path: Path) -> None:
    ids = ended_jobs(store, tmp_path, 3)
    for _ in range(2):
        history = History("", tmp_path)
        Recorder(store, history).catch_up()
        assert len(rows(tmp_path)) == len(ids)
        history.close()
        for path in tmp_path.glob("records.sqlite*"):
            path.unlink()


def test_a_recorder_that_slept_longer_than_the_stream_reads_the_jobs(store: Store, tmp_path: Path) -> None:
    history = History("", tmp_path)
    Recorder(store, history).catch_up()
    ids = ended_jobs(store, tmp_path, 3)
    store.connection.client.xtrim("labq:events", maxlen=1, approximate=False)
    Recorder(store, history).catch_up()
    assert [history.get(job_id) for job_id in ids] == store.jobs.get_many(ids)
    assert store.events.cursor(CURSOR) == store.events.last_id()
    history.close()


def test_a_lab_that_counts_from_1_again_keeps_its_history(store: Store, tmp_path: Path) -> None:
    history = History("", tmp_path)
    ended_jobs(store, tmp_path, 2)
    Recorder(store, history).catch_up()
    store.connection.client.flushall()
    ended_jobs(store, tmp_path, 2)
    Recorder(store, history).catch_up()
    assert len(rows(tmp_path)) == 4
    newest = history.get("1")
    assert newest is not None
    assert newest.submitted_at == max(float(row[1]) for row in rows(tmp_path) if row[0] == "1")
    history.close()


def forget(server: Server, *job_ids: str) -> None:
    """Makes Redis and the board forget jobs, as time does."""
    for job_id in job_ids:
        server.store.connection.client.delete(f"labq:job:{job_id}")
        server.store.connection.client.zrem("labq:jobs:ended", job_id)
        server.store.connection.client.delete(f"labq:array:{job_id.partition('.')[0]}")


def in_database(server: Server, job_id: str) -> bool:
    connection = sqlite3.connect(server.data / "records.sqlite")
    try:
        return bool(connection.execute("SELECT 1 FROM jobs WHERE id = ?", (job_id,)).fetchall())
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()


def test_a_job_that_redis_forgot_is_shown_listed_noted_and_run_again(own_server: Server) -> None:
    own_server.flags = ("--only", "api")
    own_server.start()
    client, agent = own_server.person(), FakeAgent(own_server.store, own_server.data)
    old = submit(client, name="old", tags=["t", "u"])
    array = client.post("/v1/jobs", json={"spec": {"image": "busybox"}, "array": "0-1"}).json()["id"]
    for job_id in (old, f"{array}.0", f"{array}.1"):
        agent.run(job_id)
        agent.end(job_id, at=now() - 3 * DAY)
        wait_for(lambda job_id=job_id: in_database(own_server, job_id), 10, "the record")  # type: ignore[misc]
    writer = agent.log(old)
    writer.write(1, 1, b"still here\n")
    writer.close()
    own_server.end()
    forget(own_server, old, f"{array}.0", f"{array}.1")
    own_server.start()
    new = submit(client, name="new")
    assert [job["id"] for job in client.get("/v1/jobs").json()] == [new]
    everything = client.get("/v1/jobs", params={"state": "all"})
    assert [job["id"] for job in everything.json()] == [old, f"{array}.0", f"{array}.1", new]
    assert everything.headers["x-total-count"] == "4"
    pages, cursor = [], ""
    while True:
        page = client.get("/v1/jobs", params={"state": "all", "limit": 1, "cursor": cursor})
        pages += [job["id"] for job in page.json()]
        cursor = page.headers.get("x-next-cursor", "")
        if not cursor:
            break
    assert pages == [new, f"{array}.1", f"{array}.0", old]
    assert [job["id"] for job in client.get("/v1/jobs", params={"state": "ended", "tag": "u"}).json()] == [
        old
    ]
    assert [
        job["id"] for job in client.get("/v1/jobs", params={"state": "ended", "since": "2d"}).json()
    ] == []
    assert len(client.get("/v1/jobs", params={"array": array}).json()) == 2
    assert client.get(f"/v1/jobs/{array}").json()["counts"] == {"succeeded": 2}
    shown = client.get(f"/v1/jobs/{old}").json()
    assert (shown["state"], shown["attempts"][0]["number"]) == ("succeeded", 1)
    assert client.get(f"/v1/jobs/{old}/logs").content == b"still here\n"
    assert client.put(f"/v1/jobs/{old}/note", json={"note": "later"}).json()["note"] == "later"
    assert client.get(f"/v1/jobs/{old}").json()["note"] == "later"
    assert client.post(f"/v1/jobs/{old}/cancel").json()["already"] == [old]
    assert client.post(f"/v1/jobs/{old}/rerun").status_code == 201


def test_a_later_note_reaches_the_record(server: Server, alice: httpx.Client, agent: FakeAgent) -> None:
    job_id = submit(alice)
    agent.run(job_id)
    agent.end(job_id)
    alice.put(f"/v1/jobs/{job_id}/note", json={"note": "見て"})

    def note() -> str:
        connection = sqlite3.connect(server.data / "records.sqlite")
        try:
            found = connection.execute("SELECT note FROM jobs WHERE id = ?", (job_id,)).fetchall()
        finally:
            connection.close()
        return str(found[0][0]) if found else ""

    wait_for(lambda: note() == "見て", 10, "the note to be recorded")
