"""People whose records other versions wrote."""

from __future__ import annotations

import json

from labq.store import Person, Store


def test_a_record_of_an_older_or_a_newer_version_is_read(redis_url: str) -> None:
    store = Store(redis_url)
    store.connection.client.hset("labq:users", "old", json.dumps({"name": "old", "uid": 5, "gid": 5}))
    new = {"name": "new", "uid": 6, "gid": 6, "group": "vision", "pronoun": "they"}
    store.connection.client.hset("labq:users", "new", json.dumps(new))
    assert store.people.all() == [Person("new", 6, 6, group="vision"), Person("old", 5, 5)]
    assert store.people.get("new") == Person("new", 6, 6, group="vision")
