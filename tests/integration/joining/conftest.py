"""A server that nodes can join, and the commands of the control machine."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from integration.scheduler_api.server_process import Server
from support.redis import open_redis

import labq_scheduler.__main__
import labq_worker.__main__


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Control = Callable[..., Done]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its Redis is told to nodes; its wheels are in a directory of their own."""
    root = tmp_path_factory.mktemp("lab")
    with open_redis() as redis:
        found = Server(redis, root / "data", "--only", "api")
        found.env = {"LABQ_REDIS_URL_NODES": redis.url, "LABQ_PACKAGES_DIR": str(root / "wheels")}
        found.start()
        yield found
        found.close()


@pytest.fixture
def control(server: Server) -> Control:
    """Runs ``labq-scheduler`` with the server's settings."""

    def run(*words: str, **env: str) -> Done:
        return _run(
            labq_scheduler.__main__.main, words, {"LABQ_REDIS_URL": server.redis.url, **server.env, **env}
        )

    return run


@pytest.fixture
def worker(server: Server, tmp_path: Path) -> Control:
    """Runs ``labq-worker`` on a machine that has no other file than node.env."""

    def run(*words: str, say: str = "", **env: str) -> Done:
        words = (*words, "--node-env", str(tmp_path / "etc/node.env"))
        return _run(labq_worker.__main__.main, words, {"LABQ_SERVER": server.url, **env}, say)

    return run


def answer(done: Done) -> Any:
    """The one JSON line."""
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return json.loads(line)


def _run(
    main: Callable[[list[str]], int], words: tuple[str, ...], env: dict[str, str], say: str = ""
) -> Done:
    """Runs a program here, as its own process would: starting Python for each of a hundred commands takes minutes."""
    base = {"PATH": os.environ["PATH"], "LABQ_CONFIG": "/dev/null", "HOME": "/nonexistent"}
    out, err = io.StringIO(), io.StringIO()
    with (
        only_environment(base | env), redirect_stdout(out), redirect_stderr(err), _standard_input(say)
    ):  # fmt: skip
        try:
            status = main(list(words))
        except SystemExit as end:
            status = int(end.code or 0)
    return Done(status, out.getvalue(), err.getvalue())


@contextmanager
def only_environment(env: dict[str, str]) -> Iterator[None]:
    """Nothing but these variables."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _standard_input(text: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before
