"""Each node is a user of Redis of its own: it may do an agent's work and no more, and is nobody once it is removed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from support.redis import RedisServer
from support.waiting import wait_for

from labq.errors import UnavailableError
from labq.store import Store, keys
from labq.store.node_users import url_of_node

#: What would make a node an admin, or let it act for another node.
FORBIDDEN = (
    ("HGETALL", keys.TOKENS), ("HSET", keys.USERS, "node-gpu05", '{"admin": true}'), ("HGETALL", keys.NODE_USERS),
    ("HSET", keys.LEASES + "gpu06", "token", "{}"), ("HSET", keys.NODE + "gpu06", "drained", ""),
    ("LPUSH", "rq:queue:node-gpu06", "x"), ("LPUSH", "rq:queue:provision", "x"), ("SET", keys.LEADER, "x"),
    ("EVAL", f"return redis.call('HGETALL', '{keys.TOKENS}')", "0"),
    ("CONFIG", "SET", "requirepass", ""), ("FLUSHALL",), ("KEYS", "*"), ("ACL", "LIST"), ("SHUTDOWN",), ("MONITOR",),
)  # fmt: skip


@pytest.fixture
def store(redis_server: RedisServer) -> Iterator[Store]:
    """Of the server, who may do anything."""
    store = Store(redis_server.url)
    yield store
    for node in store.node_users.names():
        store.node_users.forget(node)
    store.connection.close()


def given(store: Store, node: str) -> Store:
    """The store as that node sees it."""
    password = store.node_users.give(node)
    assert password is not None
    assert password not in str(store.connection.client.hgetall(keys.NODE_USERS))
    return Store(url_of_node(store.connection.url, node, password))


def blocked(store: Store, user: str) -> bool:
    """Whether a connection of that user waits for something."""
    return any(
        each["user"] == user and "b" in each["flags"] for each in store.connection.client.client_list()
    )


def test_a_node_may_not_become_an_admin_nor_act_for_another(store: Store) -> None:
    node = given(store, "gpu05")
    assert node.connection.accepts()
    for command in FORBIDDEN:
        with pytest.raises(redis.ResponseError, match=r"(?i)permission|can't access|can't run"):
            node.connection.client.execute_command(*command)
    assert node.jobs.leases("gpu05") == {}


def test_a_node_that_is_forgotten_is_cut_off_where_it_is_and_comes_in_no_more(store: Store) -> None:
    node = given(store, "gpu05")
    with ThreadPoolExecutor(1) as pool:
        # As an agent waits for messages.
        waits = pool.submit(node.connection.client.blpop, "rq:queue:node-gpu05", 30)
        wait_for(lambda: blocked(store, "node-gpu05"), 10, "the node to wait for a message")
        assert store.node_users.forget("gpu05")
        assert isinstance(waits.exception(10), redis.ConnectionError)
    assert node.connection.accepts() is False
    with pytest.raises(UnavailableError, match="removed from the lab") as error:
        node.jobs.leases("gpu05")
    assert "labq node add" in error.value.next
    assert "…@" in error.value.what
    assert store.node_users.forget("gpu05") is False


def test_a_new_password_takes_the_place_of_the_old(store: Store) -> None:
    old = given(store, "gpu05")
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(old.connection.client.blpop, "rq:queue:node-gpu05", 30)
        wait_for(lambda: blocked(store, "node-gpu05"), 10, "the old machine to wait for a message")
        new = given(store, "gpu05")
        assert isinstance(waits.exception(10), redis.ConnectionError)
    assert (old.connection.accepts(), new.connection.accepts()) == (False, True)
    assert store.node_users.names() == {"gpu05"}


def test_after_a_restart_redis_is_told_who_its_nodes_are_and_no_others(
    redis_server: RedisServer, store: Store
) -> None:
    node = given(store, "gpu05")
    redis_server.kill()
    redis_server.start()
    wait_for(redis_server.answers, 10, "Redis to be back")
    assert node.connection.accepts() is False
    store.connection.client.execute_command("ACL SETUSER", "node-stray", "on", ">x", "+@all", "~*")
    assert store.node_users.put_right() == 2
    assert node.connection.accepts()
    assert "node-stray" not in store.connection.client.execute_command("ACL USERS")
    assert store.node_users.put_right() == 0
    # An upgrade of labq gives its rights to those that are there.
    assert store.node_users.put_right(anew=True) == 1


def test_a_redis_that_lets_us_make_no_users_gives_none(store: Store) -> None:
    client = store.connection.client
    client.execute_command("ACL SETUSER", "hosted", "on", ">x", "~*", "&*", "+@all", "-@admin")
    try:
        hosted = Store(url_of_node(store.connection.url, "x", "x").replace("node-x:x", "hosted:x"))
        assert hosted.node_users.give("gpu05") is None
        assert hosted.node_users.put_right() is None
        assert hosted.node_users.are_kept() is False
        assert hosted.node_users.forget("gpu05") is False
        assert hosted.node_users.names() == set()
    finally:
        client.execute_command("ACL DELUSER", "hosted")


@pytest.mark.parametrize(
    ("url", "becomes"),
    [
        ("redis://:old@10.0.0.1:6379/0", "redis://node-gpu05:new@10.0.0.1:6379/0"),
        ("rediss://ann:o%40d@[::1]:6379/2?ssl_cert_reqs=none", "rediss://node-gpu05:new@[::1]:6379/2?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock?db=0", "unix://node-gpu05:new@/run/redis.sock?db=0"),
    ],
)  # fmt: skip
def test_a_nodes_address_is_the_labs_with_its_own_user(url: str, becomes: str) -> None:
    assert url_of_node(url, "gpu05", "new") == becomes
