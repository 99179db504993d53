"""What the janitor removes, and what it must leave alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_job, make_spec
from integration.scheduler_api.server_process import FakeAgent

from labq.clock import now
from labq.settings import Settings
from labq.spec import JobSpec
from labq_scheduler.files.locked import LockedFile
from labq_scheduler.janitor import clear
from labq_scheduler.serve import make_lab
from labq_scheduler.verbs.lab import Lab

DAY = 86_400.0


@pytest.fixture
def lab(redis_url: str, tmp_path: Path) -> Iterator[Lab]:
    found = make_lab(Settings({"redis_url": redis_url, "data_dir": str(tmp_path)}, env={"HOME": "/x"}))
    found.board.start()
    yield found
    found.board.stop()
    found.history.close()


def put(path: Path, age: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (now() - age, now() - age))
    return path


def test_old_contexts_go_unless_an_active_job_needs_them(lab: Lab) -> None:
    needed, unneeded, recent = ("a" * 64, "b" * 64, "c" * 64)
    paths = {digest: put(lab.files.context(digest), 8 * DAY) for digest in (needed, unneeded)}
    paths[recent] = put(lab.files.context(recent), 6 * DAY)
    spec = JobSpec.from_wire({"context": needed})
    lab.store.jobs.submit(replace(make_job(), spec=spec), indices=None, now=now())
    clear(lab, now=now())
    assert {digest for digest, path in paths.items() if path.exists()} == {needed, recent}


def test_torn_uploads_go_unless_somebody_writes_them(lab: Lab) -> None:
    torn = put(lab.files.contexts / f"{'d' * 64}.part", 2 * DAY)
    fresh = put(lab.files.contexts / f"{'e' * 64}.part", 0.5 * DAY)
    written = put(lab.files.contexts / f"{'f' * 64}.part", 2 * DAY)
    outputs = put(lab.files.outputs / "7" / "1.tar.part", 2 * DAY)
    kept = [put(lab.files.log("7", 1), 400 * DAY), put(lab.files.output_tar("7", 1), 400 * DAY)]
    with LockedFile(written, "it"):
        clear(lab, now=now())
    assert [path.exists() for path in (torn, fresh, written, outputs, *kept)] == [
        False, True, True, False, True, True,
    ]  # fmt: skip


def test_index_entries_of_forgotten_jobs_go(lab: Lab, tmp_path: Path) -> None:
    agent = FakeAgent(lab.store, tmp_path)
    ids = [lab.store.jobs.submit(make_job(), indices=None, now=now()).id for _ in range(2)]
    for job_id, age in zip(ids, (20 * DAY, 10 * DAY), strict=True):
        agent.run(job_id)
        agent.end(job_id, at=now() - age)
    clear(lab, now=now())
    assert lab.store.jobs.ended_ids(0.0, 10) == [ids[1]]


def test_a_context_that_is_used_again_stays(lab: Lab) -> None:
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("Dockerfile"))
    path = put(lab.files.context("a" * 64), 8 * DAY)
    path.write_bytes(out.getvalue())
    os.utime(path, (1.0, 1.0))
    lab.contexts.use("a" * 64, make_spec().dockerfile)
    clear(lab, now=now())
    assert path.exists()
