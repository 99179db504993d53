"""The labels are set as an engine will read them, and every other byte stays."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labq_exporter.stamping.create_body import relabel

OURS = {"io.labq.owner": "alice", "io.labq.stamp": "v1:…"}
LABELS = '{"io.labq.owner": "alice","io.labq.stamp": "v1:\\u2026"}'


def as_go_reads_it(text: bytes) -> dict[str, str]:
    """Labels as encoding/json reads them: any case, maps merged, null empties."""
    labels: dict[str, str] = {}

    def walk(pairs: list[tuple[str, Any]]) -> object:
        return pairs

    for key, value in json.loads(text, object_pairs_hook=walk):
        if key.casefold() == "labels":
            if value is None:
                labels = {}
            else:
                labels.update(dict(value))
    return labels


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"Image":"x","N":1e400}', '{"Labels":%s,"Image":"x","N":1e400}'),
        ("{}", '{"Labels":%s}'),
        (' { "Labels" : null , "a":12345678901234567890123} ', ' { "Labels" : %s , "a":12345678901234567890123} '),
        ('{"labels":{}}', '{"labels":%s}'),
        ('{"LABELS":{"io.labq.owner":"evil"}}', '{"LABELS":%s}'),
        ('{"Label\\u0073":{"io.labq\\u002eowner":"evil"}}', '{"Label\\u0073":%s}'),
        ('{"Labelſ":{"io.labq.stamp":"evil"}}', '{"Labelſ":%s}'),
        ('{"A":{"Labels":{"io.labq.owner":"deep"}}}', '{"Labels":%s,"A":{"Labels":{"io.labq.owner":"deep"}}}'),
        ('{"a":"}\\"{"} trailing {', '{"Labels":%s,"a":"}\\"{"} trailing {'),
    ],
)  # fmt: skip
def test_the_labels_are_set_and_nothing_else_moves(body: str, expected: str) -> None:
    assert relabel(body.encode(), OURS).decode() == expected % LABELS


def test_other_labels_stay_as_they_were_written() -> None:
    body = b'{"Labels":{"b":"\\u00e9","io.labq.owner":"evil", "labq.job":"j","a":"1"},"z":1}'
    kept = b'{"Labels":{"b":"\\u00e9","labq.job":"j","a":"1",'
    assert relabel(body, OURS) == kept + LABELS[1:].encode() + b',"z":1}'


@pytest.mark.parametrize(
    "body",
    [
        b"", b"nonsense", b"[]", b"null", b"{", b'{"a":}', b'{"a":1,}', b'{"Labels":[]}', b'{"Labels":"x"}',
        b'{"Labels":{"a"}}', b'{"Labels":{', b'{"a":"', b'{"a":["}', b"\xef\xbb\xbf{}", b'{"a" 1}', b'{"\\x":1}',
    ],
)  # fmt: skip
def test_what_is_not_json_stays_for_the_engine_to_refuse(body: bytes) -> None:
    assert relabel(body, OURS) is body


def test_without_a_person_a_forged_stamp_goes_and_the_rest_stays() -> None:
    assert relabel(b'{"Labels":{"io.labq.owner":"ann","io.labq.stamp":"v1"}}', {}) == (
        b'{"Labels":{"io.labq.owner":"ann"}}'
    )
    untouched = b'{"Labels": {"io.labq.owner": "ann"}}'
    assert relabel(untouched, {}) is untouched


def test_deep_nesting_and_bytes_that_are_not_utf8_do_not_hide_the_labels() -> None:
    deep = b'{"x":' + b"[" * 9000 + b"]" * 9000 + b',"y":"\xff","labels":{"io.labq.owner":"evil\xff"}}'
    stamped = relabel(deep, OURS)
    assert stamped == deep.replace(b'{"io.labq.owner":"evil\xff"}', LABELS.encode())


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
label_maps = (
    st.dictionaries(st.sampled_from([*OURS, "a", "b", "labq.job"]) | st.text(), st.text()) | st.none()
)
members = st.lists(
    st.tuples(st.sampled_from(["Labels", "labels", "LABELS", "labelſ"]), label_maps)
    | st.tuples(st.text().filter(lambda key: key.casefold() != "labels"), values)
)


@given(members, st.booleans(), st.sampled_from([(",", ":"), (" , ", " : "), (",\n\t", ":\r\n")]))
def test_whatever_the_description_an_engine_reads_our_labels(
    pairs: list[tuple[str, Any]], ascii_only: bool, separators: tuple[str, str]
) -> None:
    comma, colon = separators

    def dumps(value: object) -> str:
        return json.dumps(value, ensure_ascii=ascii_only, separators=separators)

    text = "{" + comma.join(dumps(key) + colon + dumps(value) for key, value in pairs) + "}"
    body = text.encode("utf-8", "surrogatepass")
    stamped = relabel(body, OURS)
    if b"\xed" not in body:  # a lone surrogate is no UTF-8: Python's reader, unlike Go's, refuses it
        before = as_go_reads_it(body)
        assert as_go_reads_it(stamped) == before | OURS
        others = [(key, value) for key, value in pairs if key.casefold() != "labels"]
        again = json.loads(stamped, object_pairs_hook=list)
        assert [(key, json.dumps(value)) for key, value in again if key.casefold() != "labels"] == [
            (key, json.dumps(json.loads(json.dumps(value), object_pairs_hook=list))) for key, value in others
        ]


@given(st.binary())
def test_any_bytes_whatever_do_no_harm(body: bytes) -> None:
    assert isinstance(relabel(b"{" + body, OURS), bytes)
