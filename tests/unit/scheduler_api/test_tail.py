"""Where the last lines of a log begin, against the obvious way of finding them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labq.logfile import STDERR, STDOUT, LogWriter
from labq_scheduler.files import tail as module
from labq_scheduler.files.logs import Selection, first_position, read_raw

PIECES = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.text("ab\n", min_size=1, max_size=6).map(str.encode)),
    max_size=30,
)


def write(path: Path, pieces: list[tuple[int, bytes]]) -> None:
    path.unlink(missing_ok=True)
    writer = LogWriter(path)
    for number, (stream, payload) in enumerate(pieces):
        writer.write(stream, number, payload)
    writer.close()


def obvious(pieces: list[tuple[int, bytes]], lines: int, stream: int | None) -> bytes:
    text = b"".join(payload for kind, payload in pieces if stream in {None, kind})
    return b"".join(text.splitlines(keepends=True)[-lines:]) if lines else b""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(
    pieces=PIECES,
    lines=st.integers(0, 8),
    stream=st.sampled_from([None, STDOUT, STDERR]),
    stride=st.integers(1, 5),
)
def test_the_last_lines_are_those_of_the_whole_text(
    tmp_path: Path, pieces: list[tuple[int, bytes]], lines: int, stream: int | None, stride: int
) -> None:
    path = tmp_path / "log"
    write(path, pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_STRIDE_FRAMES", stride)
        found = b"".join(read_raw(path, Selection(tail=lines, stream=stream)))
    assert found == obvious(pieces, lines, stream)


def test_a_torn_frame_at_the_end_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, [(STDOUT, b"one\n"), (STDOUT, b"two\n")])
    with path.open("ab") as handle:
        handle.write(path.read_bytes()[:15])
    assert b"".join(read_raw(path, Selection(tail=1))) == b"two\n"
    assert b"".join(read_raw(path, Selection())) == b"one\ntwo\n"


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert first_position(tmp_path / "none", Selection(tail=5)) == (0, 0)
    assert list(read_raw(tmp_path / "none", Selection(tail=5))) == []


def test_time_stamps_stand_before_each_line_of_each_stream(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = LogWriter(path)
    writer.write(STDOUT, 10**18, b"a\nb")
    writer.write(STDERR, 10**18 + 10**9, b"e\n")
    writer.write(STDOUT, 10**18 + 2 * 10**9, b"c\nd\n")
    writer.close()
    lines = b"".join(read_raw(path, Selection(timestamps=True))).decode()
    assert lines == (
        "2001-09-09T01:46:40.000Z a\n2001-09-09T01:46:40.000Z b2001-09-09T01:46:41.000Z e\nc\n"
        "2001-09-09T01:46:42.000Z d\n"
    )
