"""One server for all tests of this folder; each test brings its own people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from integration.scheduler_api.server_process import NODE, FakeAgent, Server, submit
from support.redis import RedisServer, open_redis

from labq.clock import now
from labq.logfile import STDERR, STDOUT

SECOND = 10**9


@pytest.fixture(scope="session")
def api_redis() -> Iterator[RedisServer]:
    """A Redis that other tests do not flush."""
    with open_redis() as server:
        yield server


@pytest.fixture(scope="session")
def server(api_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The API without the deciding loop: the tests move the jobs themselves."""
    flags = ("--only", "api", "--max-time", "7d", "--mounts", "/data:ro,/scratch:rw", "--max-context", "4MB",
             "--max-queued-per-user", "3000")  # fmt: skip
    found = Server(api_redis, tmp_path_factory.mktemp("api") / "data", *flags)
    found.store.nodes.register(NODE, now=now())
    try:
        found.start()
        yield found
    finally:
        found.close()


@pytest.fixture
def own_server(redis_server: RedisServer, tmp_path: Path) -> Iterator[Server]:
    """A server that the test may kill; started by the test."""
    found = Server(redis_server, tmp_path / "data")
    yield found
    found.close()


@pytest.fixture
def agent(server: Server) -> FakeAgent:
    return FakeAgent(server.store, server.data)


@pytest.fixture
def alice(server: Server) -> httpx.Client:
    """Somebody new."""
    return server.person()


@pytest.fixture
def bob(server: Server) -> httpx.Client:
    """Somebody else."""
    return server.person()


@pytest.fixture
def admin(server: Server) -> httpx.Client:
    """A new admin."""
    return server.person(admin=True)


@pytest.fixture
def node_token(server: Server) -> httpx.Client:
    """An agent's token."""
    return server.person(agent=True)


@pytest.fixture
def finished(alice: httpx.Client, agent: FakeAgent) -> str:
    """A job that wrote a log on both streams and ended."""
    job_id = submit(alice)
    agent.run(job_id)
    writer = agent.log(job_id)
    writer.write(STDOUT, 1_700_000_000 * SECOND, b"epoch 1\nepo")
    writer.write(STDERR, 1_700_000_001 * SECOND, b"warn\xff\n")
    writer.write(STDOUT, 1_700_000_002 * SECOND, b"ch 2\n\rbar 10%\rbar 99%\n")
    writer.close()
    agent.end(job_id)
    return job_id
