"""Which bytes are passed on, which are a create, and which are refused; in whatever pieces they come."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labq_exporter.stamping.head import MAX_HEAD, RefusedError, ResponseHead, parse_request
from labq_exporter.stamping.requests import (
    H2_PREFACE,
    MAX_CREATE,
    Continue,
    Create,
    End,
    Forward,
    Requests,
    Step,
)

PING = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
BUILD = b"POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n5;x=y\r\nPOST \r\n0\r\nA: b\r\n\r\n"
CREATE = b'POST /v1.41/containers/create?name=x HTTP/1.1\r\nHost: d\r\nContent-Length: 13\r\nX: y\r\n\r\n{"Image":"a"}'
CHUNKED = b'POST /containers/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\na\r\n":"b"}ABCD\r\n0\r\n\r\n'


def steps_of(pieces: list[bytes]) -> list[Step]:
    """The steps, with neighbouring pieces of one request joined."""
    requests, out = Requests(), list[Step]()
    for piece in pieces:
        requests.feed(piece)
        while (step := requests.next()) is not None:
            last = out[-1] if out else None
            if isinstance(step, Forward) and not step.method and isinstance(last, Forward):
                out[-1] = Forward(last.data + step.data, last.method)
            else:
                out.append(step)
    return out


def refusal(data: bytes) -> int:
    with pytest.raises(RefusedError) as caught:
        steps_of([data])
    return caught.value.status


def test_requests_pass_as_they_are_and_a_create_is_held_back_whole() -> None:
    steps = steps_of([PING + BUILD + CREATE + CHUNKED + PING])
    creates = [step for step in steps if isinstance(step, Create)]
    forwards = [step.data for step in steps if isinstance(step, Forward)]
    assert forwards == [PING, BUILD, PING]
    assert [step.body for step in creates] == [b'{"Image":"a"}', b'{"a":"b"}ABCD']
    assert sum(isinstance(step, End) for step in steps) == 5


@given(st.lists(st.integers(0, len(PING + BUILD + CREATE + CHUNKED + PING)), max_size=12))
def test_it_does_not_matter_in_which_pieces_they_come(cuts: list[int]) -> None:
    data = PING + BUILD + CREATE + CHUNKED + PING
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert steps_of(pieces) == steps_of([data])


def test_byte_by_byte_is_the_same_too() -> None:
    data = PING + BUILD + CREATE + CHUNKED + PING
    assert steps_of([data[i : i + 1] for i in range(len(data))]) == steps_of([data])


def test_the_head_of_a_create_changes_in_its_framing_only() -> None:
    (create,) = [step for step in steps_of([CREATE]) if isinstance(step, Create)]
    assert create.head.with_length(99) == (
        b"POST /v1.41/containers/create?name=x HTTP/1.1\r\nHost: d\r\nX: y\r\nContent-Length: 99\r\n\r\n"
    )


def test_a_client_that_waits_to_be_told_is_told_once() -> None:
    head = b"POST /containers/create HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    requests = Requests()
    requests.feed(head)
    assert isinstance(requests.next(), Continue)
    assert requests.next() is None
    requests.feed(b"{}")
    assert isinstance(step := requests.next(), Create)
    assert b"xpect" not in step.head.with_length(2)
    assert not any(isinstance(step, Continue) for step in steps_of([head + b"{}"]))


@pytest.mark.parametrize(
    "target",
    [
        b"/containers/create", b"/v1.24/containers/create", b"/v4.0.0/libpod/containers/create?name=a",
        b"//containers/create", b"/containers//create", b"/containers/create/", b"/containers%2Fcreate",
        b"/containers%2fcreate", b"/%63ontainers/creat%65", b"http://docker/containers/create",
        b"http://docker/v1.41/containers/create?x", b"/v1.41/./containers/x/../create", b"/v1.41/../containers/create",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", [b"POST", b"post"])
def test_whatever_an_engine_could_take_for_a_create_is_one(method: bytes, target: bytes) -> None:
    assert parse_request(method + b" " + target + b" HTTP/1.1\r\nHost: d").creates


@pytest.mark.parametrize("line", [b"GET /containers/create", b"POST /containers/create/start", b"POST /volumes/create",
    b"POST /containers/json?x=/containers/create", b"POST /images/create"])  # fmt: skip
def test_other_requests_are_no_creates(line: bytes) -> None:
    assert not parse_request(line + b" HTTP/1.1\r\nHost: d").creates


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Content-Length: 2\r\nContent-Length: 3", 400),
        (b"Content-Length: 2\r\ncontent-length: 2", 400),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked", 400),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        (b"Transfer-Encoding: gzip, chunked", 501),
        (b"Transfer-Encoding: xchunked", 501),
        (b"Transfer-Encoding: identity", 501),
        (b"Content-Length: +2", 400),
        (b"Content-Length: 0x2", 400),
        (b"Content-Length: 2, 2", 400),
        (b"Content-Length: -1", 400),
        (b"Content-Length:", 400),
        (b"Content-Length : 2", 400),
        (b"X: y\r\n folded", 400),
        (b" X: y", 400),
        (b"X: a\x00b", 400),
        (b"X: a\rb", 400),
        (b"X: a\nContent-Length: 5", 400),
        (b": x", 400),
        (b"no colon", 400),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(fields: bytes, status: int) -> None:
    assert refusal(b"POST /build HTTP/1.1\r\nHost: d\r\n" + fields + b"\r\n\r\n") == status


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n", b"GET /\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n", b"\x16\x03\x01\x00\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n", b"GET /a b HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\n\n", b"G@T / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.2\r\n\r\n", b" GET / HTTP/1.1\r\n\r\n", b"GET\t/ HTTP/1.1\r\n\r\n", b"\0" * 10 + b"\n",
    ],
)  # fmt: skip
def test_garbage_is_refused(head: bytes) -> None:
    assert refusal(head) == 400


def test_chunks_of_http_1_0_are_refused_since_go_does_not_read_them() -> None:
    assert refusal(b"POST /build HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 501


@pytest.mark.parametrize(
    "chunks",
    [b"4\nabcd\r\n", b"4\r\nabcdE\r\n", b"-4\r\n", b"0x4\r\n", b"4 4\r\n", b"\r\n", b"4\r\nabcd\n0\r\n\r\n",
     b"f" * 20 + b"\r\n", b"4;" + b"x" * 5000, b"0\r\nno colon\r\n\r\n", b"0\r\n" + b"a: b\r\n" * 100],
)  # fmt: skip
def test_chunks_that_are_not_framed_to_the_letter_are_refused(chunks: bytes) -> None:
    assert refusal(b"POST /build HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks) == 400


def test_no_head_and_no_description_grows_without_limit() -> None:
    assert refusal(b"GET / HTTP/1.1\r\nX: " + b"y" * MAX_HEAD) == 431
    long = b"POST /containers/create HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_CREATE + 1)
    assert refusal(long) == 413
    endless = b"POST /containers/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (
        MAX_CREATE + 1
    )
    assert refusal(endless + b" " * (MAX_CREATE + 1)) == 413


def test_http_2_with_prior_knowledge_passes_raw() -> None:
    rest = b"\0\0\0\4\0\0\0\0\0\nPOST /containers/create HTTP/1.1\n"
    assert steps_of([H2_PREFACE[:5], H2_PREFACE[5:], rest]) == [Forward(H2_PREFACE + rest)]


def test_after_an_upgrade_everything_passes_raw() -> None:
    requests = Requests()
    requests.feed(b"POST /session HTTP/1.1\r\nUpgrade: h2c\r\n\r\n")
    assert isinstance(requests.next(), Forward)
    assert isinstance(requests.next(), End)
    requests.go_raw()
    requests.feed(CREATE)
    assert requests.next() == Forward(CREATE)


@pytest.mark.parametrize(
    ("head", "hijacked"),
    [
        (b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp", True),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", False),
        (b"HTTP/1.1 404 Not Found\r\nX: y", False),
        (b"HTTP/1.1 204 No Content\r\nX: y", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nX: y", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 3", False),
        (b"garbage", False),
    ],
)
def test_a_response_says_whether_the_connection_is_still_http(head: bytes, hijacked: bool) -> None:
    data = head + b"\r\n\r\n"
    whole, slow = ResponseHead(b"POST"), ResponseHead(b"POST")
    assert whole.feed(data) is hijacked
    answers = [slow.feed(data[i : i + 1]) for i in range(len(data))]
    assert [answer for answer in answers if answer is not None] == [hijacked]


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_an_answer_without_a_length_to_what_cannot_hijack_is_still_http(method: bytes) -> None:
    # podman answers the HEAD /_ping with which every docker command begins like this.
    assert ResponseHead(method).feed(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n\r\n") is False


def test_a_response_without_an_end_counts_as_http() -> None:
    assert ResponseHead(b"POST").feed(b"x" * (MAX_HEAD + 1)) is False
