"""Traces: what is read, and what is refused with the line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from labq.errors import BadInputError
from labq_scheduler.simulate import traces
from labq_scheduler.simulate.traces import TraceJob, first_line, ignored, offered_load, read_lines, read_trace

HEAD = "user,submit_s,duration_s,gpus"
PACKED = gzip.compress("\n".join([HEAD, *(f"a,{n},{n * n},1" for n in range(500))]).encode())


def read(*lines: str) -> list[TraceJob]:
    return read_lines([line + "\n" for line in lines], "t.csv")


def refused(*lines: str) -> tuple[str, str]:
    with pytest.raises(BadInputError) as caught:
        read(*lines)
    return caught.value.what, caught.value.next


def test_jobs_come_in_order_of_submission_with_all_that_the_columns_say() -> None:
    late, early = read(
        "job_id,user,submit_s,duration_s,gpus,gpu_model,limit_s,name,status",
        'b7,ann,90,0.5,2,A100|V100 ,3600,"train, long",done',
        "b8,,10.5,60,0,,,,killed",
    )[::-1]
    assert late == TraceJob("b7", "ann", 90.0, 1.0, 2, ("a100", "v100"), 3600.0, "train, long")
    assert early == TraceJob("b8", "nobody", 10.5, 60.0, 0)


def test_limits_may_have_the_name_that_public_traces_use_and_jobs_without_a_number_get_their_lines() -> None:
    assert [(job.id, job.limit) for job in read(f"{HEAD},requested_time_s", "a,0,1,1,60", "a,1,1,1,")] == [
        ("1", 60.0),
        ("2", None),
    ]


@pytest.mark.parametrize(
    ("lines", "what", "then"),
    [
        (["user,submit,duration_s,gpus", "a,1,1,1"], "no column 'submit_s' (but 'submit')", "needed are user"),
        (["user;submit_s;duration_s;gpus"], "no column 'user'; it has 'user;submit_s;duration_s;gpus'", "commas"),
        ([], "no column 'user'; it has none", "needed are"),
        ([HEAD], "t.csv has no jobs", "a line for each"),
        ([HEAD, "a,1,1,1", "a,x,1,1"], "t.csv, line 3: submit_s 'x' is no number of 0 or more", "3600"),
        ([HEAD, "a,1,-5,1"], "line 2: duration_s '-5' is no number", "seconds"),
        ([HEAD, "a,1,nan,1"], "line 2: duration_s 'nan' is no number", "seconds"),
        ([HEAD, "a,1,1,"], "line 2: gpus '' is no number", "GPUs"),
        ([HEAD, "a,1,1,1.5"], "line 2: gpus '1.5' is no whole number", "0, 1, 2"),
        ([HEAD, "a,1,1,4096"], "line 2: gpus '4096' is no whole number up to 1024", "0, 1, 2"),
        ([HEAD + ",limit_s", "a,1,1,1,soon"], "line 2: limit_s 'soon' is no number", "seconds"),
        ([HEAD, "a,1,1"], "line 2 does not have the 4 fields", "quotes"),
        ([HEAD, "a,1,1,1,9"], "line 2 does not have the 4 fields", "quotes"),
    ],
)  # fmt: skip
def test_what_is_not_legal_is_quoted_with_its_line(lines: list[str], what: str, then: str) -> None:
    said, hint = refused(*lines)
    assert what in said
    assert then in hint


def test_files_may_be_packed_and_come_from_a_spreadsheet(tmp_path: Path) -> None:
    text = f"\ufeff{HEAD}\r\nann,1,2,3\r\n".encode()
    (tmp_path / "a.csv").write_bytes(text)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text))
    assert (
        read_trace(tmp_path / "a.csv") == read_trace(tmp_path / "a.csv.gz") == [TraceJob("1", "ann", 1, 2, 3)]
    )
    assert first_line(tmp_path / "a.csv.gz") == HEAD.split(",")


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("none.csv", None, "No such file"),
        ("a.csv.gz", b"no gzip", "Not a gzipped file"),
        ("cut.csv.gz", PACKED[:-20], "cannot be read as CSV"),
        ("bad.csv.gz", PACKED[:40] + bytes(20) + PACKED[60:], "cannot be read as CSV"),
        ("a.csv", b"\xff\xfe\x00", "cannot be read as CSV"),
        ("a.csv", b"a" * 200_000, "line 1 is longer than 100,000 letters"),
        ("a.csv.gz", gzip.compress(HEAD.encode() + b"\n" * 2_000_010, 1), "more than 2,000,000 lines"),
        ("a.csv", HEAD.encode() + b"\na,1,1,1\n" + b"9" * 200_000, "line 3 is longer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes | None, what: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInputError) as caught:
        read_trace(path)
    assert what in caught.value.what
    assert str(path) in caught.value.what


def test_a_file_with_too_many_jobs_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MAX_JOBS", 3)

    def lines() -> list[str]:
        return [HEAD, *["a,1,1,1"] * 3]

    assert len(read(*lines())) == 3
    assert refused(*lines(), "a,1,1,1", "this is never looked at")[0].endswith(
        "line 5: these are more than 3 jobs"
    )


def test_columns_that_say_nothing_are_told_with_what_may_have_been_meant() -> None:
    assert ignored([*HEAD.split(","), "job_id", "status"]) == ["status"]
    assert ignored([*HEAD.split(","), "\x1b[2J"]) == [r"'\x1b[2J'"]
    assert ignored([*HEAD.split(","), "gpu_modl"]) == ["gpu_modl (did you mean gpu_model?)"]


def test_the_offered_load_is_asked_over_there() -> None:
    assert offered_load(read(HEAD, "a,0,100,2", "a,100,100,1"), 4) == pytest.approx(300 / 400)
