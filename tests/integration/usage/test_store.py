"""Rows in Redis: absolute, and dropped only as they were recorded."""

from __future__ import annotations

from integration.usage.rows import make_row

from labq.store import Store, keys


def test_rows_read_back_as_they_were_written_whatever_their_names(store: Store) -> None:
    rows = [
        make_row(),
        make_row(outside=False),
        make_row(user='a|b"c\n', gpu="MIG-GPU-x/1/0", epoch="[1,2]"),
        make_row(user="学生", held=0.1 + 0.2, busy=1 / 3),
        make_row(held=5, busy=0),
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
    old, other = make_row(held=10.0), make_row(gpu="n1-1", held=1 / 3)
    store.usage.write("n1", [old, other])
    store.usage.write("n1", [make_row(held=11.0)])
    assert store.usage.forget([old, other]) == 1
    assert store.usage.read("n1") == [make_row(held=11.0)]


def test_a_node_without_rows_is_no_more_asked_for(store: Store) -> None:
    store.usage.write("n1", [make_row()])
    store.usage.forget(store.usage.read("n1"))
    assert store.usage.nodes() == []
    assert not store.connection.client.exists(keys.USAGE + "n1")


def test_a_row_that_cannot_be_read_does_not_hide_the_others(store: Store) -> None:
    store.usage.write("n1", [make_row()])
    store.connection.client.hset(keys.USAGE + "n1", "old form", "1")
    assert store.usage.read("n1") == [make_row()]
