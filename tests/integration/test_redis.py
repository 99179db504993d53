"""The test Redis is empty at the start, and keeps what was written when it is killed."""

import time

import pytest
from support.redis import RedisServer


@pytest.mark.parametrize("round_", [1, 2])
def test_each_test_finds_it_empty(redis_server: RedisServer, round_: int) -> None:
    with redis_server.client() as client:
        assert client.dbsize() == 0
        client.set("round", round_)


def test_what_is_a_second_old_survives_a_kill(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set("kept", "yes")
    time.sleep(1.2)  # appendfsync everysec
    redis_server.kill()
    assert not redis_server.answers()
    redis_server.start()
    with redis_server.client() as client:
        assert client.get("kept") == b"yes"
