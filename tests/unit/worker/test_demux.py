"""The engine's streams, in any cut."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from labq_worker.demux import PARTIAL, Demux, EngineLog, Skip

STAMP = b"2026-11-20T18:52:50.470490302Z "


def frame(stream: int, payload: bytes) -> bytes:
    """As the engine frames it."""
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in pieces of these sizes, over and over."""
    out = []
    while data:
        for size in sizes:
            out.append(data[:size])
            data = data[size:]
    return out


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40))),
    st.lists(st.integers(1, 50), min_size=1, max_size=5),
)
def test_what_is_framed_comes_out_whatever_the_cut(pieces: list[tuple[int, bytes]], sizes: list[int]) -> None:
    demux = Demux()
    out = [piece for chunk in cut(b"".join(frame(*p) for p in pieces), sizes) for piece in demux.feed(chunk)]
    for stream in (1, 2):
        assert b"".join(p for s, p in out if s == stream) == b"".join(p for s, p in pieces if s == stream)


def test_a_piece_comes_out_before_its_frame_is_whole() -> None:
    assert Demux().feed(frame(1, b"12345")[:-2]) == [(1, b"123")]


def engine_messages(written: bytes, *, forgets_newline: bool) -> list[bytes]:
    """The messages into which the engine cuts what was written to one stream."""
    out = []
    for line in written.splitlines(keepends=True):
        body, end = (line[:-1], b"\n") if line.endswith(b"\n") else (line, b"")
        long = len(body) >= PARTIAL
        while len(body) >= PARTIAL:
            out.append(body[:PARTIAL])
            body = body[PARTIAL:]
        if body or end:
            out.append(body + (b"" if long and forgets_newline else end))
    return out


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([b"", b"a", b"\xff\x00\r", b"x" * (PARTIAL - 1), b"y" * PARTIAL, b"z" * 40000]),
        max_size=8,
    ),
    st.booleans(),
    st.integers(500, 70000),
)
def test_the_engines_log_gives_the_bytes_that_were_written(
    lines: list[bytes], forgets: bool, size: int
) -> None:
    # Lines end with \n alone here: \r inside a line is a byte like any other.
    written = b"".join(line.replace(b"\r", b"-") + b"\n" for line in lines)
    framed = b"".join(frame(1, STAMP + m) for m in engine_messages(written, forgets_newline=forgets))
    log = EngineLog()
    out = [piece for chunk in cut(framed, [size]) for piece in log.feed(chunk)]
    assert b"".join(payload for _, _, payload in out) == written


def test_an_unfinished_last_line_stays_unfinished() -> None:
    assert EngineLog().feed(frame(1, STAMP + b"no end")) == [(1, 1795200770470490302, b"no end")]


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=9))),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_skip_leaves_what_is_new(pieces: list[tuple[int, bytes]], first: int, second: int) -> None:
    skip = Skip({1: first, 2: second})
    out = [piece for stream, payload in pieces for piece in skip.rest([(stream, 0, payload)])]
    for stream, known in ((1, first), (2, second)):
        whole = b"".join(p for s, p in pieces if s == stream)
        assert b"".join(p for s, _, p in out if s == stream) == whole[known:]
