"""Rows in Redis: absolute, and dropped only as they were recorded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from integration.usage.rows import HOUR0, make_row

from labq.store import Store, keys


def test_rows_read_back_as_they_were_written_whatever_their_names(store: Store) -> None:
    rows = [
        make_row(),
        make_row(outside=False),
        make_row(user='a|b"c\n', gpu="MIG-GPU-x/1/0", epoch="[1,2]"),
        make_row(user="学生", held=0.1 + 0.2, busy=0.1),
        make_row(held=500, busy=0),
    ]
    store.usage.write("n1", rows[:4])
    store.usage.write("n1", rows[4:])
    store.usage.write("n2", [make_row(node="n2")])
    read = store.usage.read("n1")
    assert sorted(read, key=repr) == sorted([rows[1], rows[2], rows[3], rows[4]], key=repr)
    assert len(store.usage.read_all()) == 5
    assert store.usage.nodes() == ["n1", "n2"]


def test_nothing_is_written_for_no_rows(store: Store) -> None:
    store.usage.write("n1", [])
    assert store.usage.nodes() == []
    assert store.usage.read_all() == []


def test_a_row_that_was_written_anew_is_not_forgotten(store: Store) -> None:
    old, other = make_row(held=70.0), make_row(gpu="n1-1", held=200 / 3)
    store.usage.write("n1", [old, other])
    store.usage.write("n1", [make_row(held=71.0)])
    assert store.usage.forget([old, other]) == 1
    assert store.usage.read("n1") == [make_row(held=71.0)]


def test_a_node_without_rows_is_no_more_asked_for(store: Store) -> None:
    store.usage.write("n1", [make_row()])
    store.usage.forget(store.usage.read("n1"))
    assert store.usage.nodes() == []
    assert not store.connection.client.exists(keys.USAGE + "n1")


FIELD = f'[{HOUR0},"e1","n1-0","bob","out"]'
BAD: list[tuple[str | bytes, str | bytes]] = [
    ("old form", "1"),
    ("[" * 100_000, "1"),
    (b"\xff\xfe", b"\xff"),
    (FIELD, "null"),
    (FIELD, '["A100",1.0]'),
    (FIELD, '["A100",NaN,NaN]'),
    (FIELD, '["A100",Infinity,1.0]'),
    (FIELD, f'["A100",1{400 * "0"},1.0]'),
    (FIELD, '["A100",7201.0,1.0]'),
    (FIELD, '["A100",-1.0,-1.0]'),
    (FIELD, '["A100",1.0,2.0]'),
    (FIELD, '["A100",true,true]'),
    (FIELD, '["A100","1","1"]'),
    (FIELD, "[{},1.0,1.0]"),
    (FIELD, '["\\ud800",1.0,1.0]'),
    (FIELD, '["A100", 1.0, 1.0]'),
    ('["x","e1","n1-0","bob","out"]', '["A100",1.0,1.0]'),
    (f'[{HOUR0}.0,"e1","n1-0","bob","out"]', '["A100",1.0,1.0]'),
    (f'[{HOUR0 + 1},"e1","n1-0","bob","out"]', '["A100",1.0,1.0]'),
    ('[-3600,"e1","n1-0","bob","out"]', '["A100",1.0,1.0]'),
    (f'[{HOUR0},"e1","n1-0","bob","aside"]', '["A100",1.0,1.0]'),
    (f'[{HOUR0},"e1","n1-0","bob",[]]', '["A100",1.0,1.0]'),
    (f'[{HOUR0},null,"n1-0","bob","out"]', '["A100",1.0,1.0]'),
    (f'[{HOUR0},"e1",7,"bob","out"]', '["A100",1.0,1.0]'),
    (f'[{HOUR0},"e1","n1-0","","out"]', '["A100",1.0,1.0]'),
    (f'[{HOUR0},"e1","n1-0","b\\u0000","out"]', '["A100",1.0,1.0]'),
    (f'[{HOUR0},"e1","n1-0","{129 * "b"}","out"]', '["A100",1.0,1.0]'),
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=range(len(BAD)))
def test_what_is_no_row_is_dropped_and_told_once_and_the_others_are_read(
    store: Store, caplog: pytest.LogCaptureFixture, field: str | bytes, value: str | bytes
) -> None:
    store.usage.write("n1", [make_row()])
    store.usage.write("n2", [make_row(node="n2")])
    for _ in range(2):
        store.connection.client.hset(keys.USAGE + "n1", field, value)
        assert store.usage.read_all() == [make_row(), make_row(node="n2")]
        assert store.connection.client.hlen(keys.USAGE + "n1") == 1
    assert caplog.text.count("node n1") == 1
    assert "node n2" not in caplog.text


def test_what_is_not_even_a_hash_is_dropped_and_the_others_are_read(store: Store) -> None:
    client = store.connection.client
    store.usage.write("n2", [make_row(node="n2")])
    client.sadd(keys.USAGE_NODES, "n1", b"\xff")
    client.set(keys.USAGE + "n1", "x")
    assert store.usage.read_all() == [make_row(node="n2")]
    store.usage.write("n1", [make_row()])
    assert store.usage.read_all() == [make_row(), make_row(node="n2")]


def test_a_row_never_shrinks(store: Store) -> None:
    for held, busy in ((10.0, 5.0), (3599.0, 7.0), (5.0, 5.0), (3599.0, 6.0)):
        store.usage.write("n1", [make_row(held=held, busy=busy), make_row(gpu="n1-1", held=held, busy=0.0)])
    assert {(row.held, row.busy) for row in store.usage.read("n1")} == {(3599.0, 7.0), (3599.0, 0.0)}


def test_a_row_replaces_what_is_none(store: Store) -> None:
    for value in ("[", "1", '["A100"]', '["A100",NaN,NaN]', '["A100","9","9"]'):
        store.connection.client.hset(keys.USAGE + "n1", FIELD, value)
        store.usage.write("n1", [make_row(user="bob")])
        assert store.usage.read("n1") == [make_row(user="bob")]
        store.usage.forget([make_row(user="bob")])


def test_of_writers_at_the_same_time_the_largest_number_stays(redis_url: str, store: Store) -> None:
    def write(start: int) -> None:
        mine = Store(redis_url)
        for number in range(start, 400, 8):
            mine.usage.write("n1", [make_row(held=float(number), busy=float(number))])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert [row.held for row in store.usage.read("n1")] == [399.0]


def test_more_rows_than_one_script_takes_are_written_and_forgotten(store: Store) -> None:
    rows = [make_row(gpu=f"g{number}") for number in range(2345)]
    store.usage.write("n1", rows)
    assert len(store.usage.read("n1")) == 2345
    assert store.usage.forget(rows) == 2345
    assert store.usage.nodes() == []
