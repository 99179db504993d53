from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_job
from hypothesis import given, settings
from hypothesis import strategies as st

from labq.ending import EndReason
from labq.errors import InternalError
from labq.job import Attempt, Job
from labq.logfile import REMARK, STDERR, STDOUT, LogWriter, last_lines, read_frames, tail_offset
from labq.states import JobState
from labq.wire import job_view


@pytest.mark.parametrize("state", JobState)
def test_a_record_of_every_state_survives_the_flat_form(state: JobState) -> None:
    job = make_job("12.3", state, env={"A": "ü"}, gpus="a100:2", after=["5"])
    job.check()
    assert Job.from_fields(job.to_fields()) == job


def test_zero_is_not_absent() -> None:
    from dataclasses import replace

    job = replace(make_job(), uid=0, gid=0)
    assert Job.from_fields(job.to_fields()).uid == 0
    ended = replace(make_job("1", JobState.SUCCEEDED), exit_code=0)
    assert Job.from_fields(ended.to_fields()).exit_code == 0


@pytest.mark.parametrize(("state", "other"), list(itertools.permutations(JobState, 2)), ids=str)
def test_a_record_with_the_facts_of_another_state_is_refused(state: JobState, other: JobState) -> None:
    from dataclasses import replace

    wrong = replace(make_job("1", state), state=other)
    same_facts = {frozenset({JobState.SUCCEEDED, JobState.FAILED}), frozenset({JobState.SUCCEEDED, JobState.CANCELLED}), frozenset({JobState.FAILED, JobState.CANCELLED})}  # fmt: skip
    compatible = frozenset({state, other}) in same_facts or (state, other) in {
        (JobState.RUNNING, JobState.STOPPING), (JobState.STARTING, JobState.STOPPING), (JobState.RUNNING, JobState.STARTING),
    }  # fmt: skip
    if compatible:
        wrong.check()
    else:
        with pytest.raises(InternalError, match=f"job 1 \\({other}\\)"):
            wrong.check()


def test_a_record_of_a_newer_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(InternalError, match="newer labq"):
        Job.from_fields({"v": "99", "id": "5"})


def test_the_view_has_what_programs_rely_on() -> None:
    view = job_view(make_job("4", JobState.RUNNING, gpus="1"))
    wanted = "id name owner state end_reason verdict exit_code node gpus attempts submitted_at started_at ended_at spec image"
    assert set(wanted.split()) <= set(view)
    assert view["submitted_at"].endswith("Z")


def test_a_view_says_what_earlier_attempts_ran() -> None:
    def attempt(number: int, began: float | None, ended: float) -> Attempt:
        return Attempt(number, "n1", (), "", began, ended, None, EndReason.PREEMPTED, "")

    earlier = (attempt(1, 1100.0, 1400.0), attempt(2, None, 1500.0), attempt(3, 1600.0, 1650.0))
    waits = replace(make_job("1"), attempts=earlier)
    assert job_view(waits)["ran_before"] == 350.0
    over = replace(make_job("1", JobState.SUCCEEDED), started_at=1600.0, attempts=earlier)
    assert job_view(over)["ran_before"] == 300.0  # the last attempt is the one that it ended with


FRAMES = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR, REMARK]), st.binary(min_size=1, max_size=50)), max_size=20
)


@given(frames=FRAMES, cut=st.integers(0, 30))
@settings(max_examples=60)
def test_a_log_file_keeps_every_byte_and_loses_only_a_torn_frame(
    tmp_path_factory: pytest.TempPathFactory, frames: list[tuple[int, bytes]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "1.labqlog"
    writer = LogWriter(path)
    for number, (stream, payload) in enumerate(frames):
        writer.write(stream, number, payload)
    writer.close()
    assert [(f.stream, f.payload) for f in read_frames(path)] == frames
    os.truncate(path, max(0, path.stat().st_size - cut))
    again = LogWriter(path)
    kept = [(f.stream, f.payload) for f in read_frames(path)]
    assert kept == frames[: len(kept)]
    assert again.size == path.stat().st_size
    assert again.written[STDOUT] == sum(len(p) for s, p in kept if s == STDOUT)
    again.close()


def test_a_reader_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "1.labqlog"
    assert list(read_frames(path)) == []
    writer = LogWriter(path)
    writer.write(STDOUT, 1, b"a\n")
    first = list(read_frames(path))
    writer.write(STDOUT, 2, b"b\n")
    assert [f.payload for f in read_frames(path, first[-1].next_offset)] == [b"b\n"]
    writer.close()


@given(st.lists(st.binary(max_size=12), max_size=15), st.integers(1, 8))
@settings(max_examples=60)
def test_the_tail_is_the_last_lines_however_they_were_cut_into_frames(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], count: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "1.labqlog"
    writer = LogWriter(path)
    for part in parts:
        writer.write(STDOUT, 1, part)
    writer.close()
    whole = b"".join(parts)
    offset, skip = tail_offset(path, count)
    found = b"".join(f.payload for f in read_frames(path, offset))[skip:]
    assert whole.endswith(found)
    assert found == b"".join(whole.splitlines(keepends=True)[-count:]) if b"\r" not in whole else True


def test_undecodable_bytes_do_not_break_the_last_lines(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "x")
    writer.write(STDERR, 1, b"one\n\xff\xfetwo\n")
    writer.close()
    assert last_lines(tmp_path / "x", 1) == ["��two"]
