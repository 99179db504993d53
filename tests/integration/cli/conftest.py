"""A fake server, and `labq` as a process of its own against it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from integration.cli.fake import FakeServer

LABQ = Path(sys.executable).parent / "labq"
RunLabq = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake server without jobs."""
    fake = FakeServer()
    yield fake
    fake.close()


@pytest.fixture
def labq_env(server: FakeServer, tmp_path: Path) -> dict[str, str]:
    """The environment of a person who uses the fake server."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LABQ_", "XDG_"))}
    return env | {
        "HOME": str(tmp_path),
        "LABQ_SERVER": server.url,
        "LABQ_TOKEN": "labq_secret",
        "NO_COLOR": "1",
    }


@pytest.fixture
def labq(labq_env: dict[str, str], tmp_path: Path) -> RunLabq:
    """Runs `labq` to its end."""

    def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(LABQ), *argv], env=labq_env | env, cwd=tmp_path, capture_output=True, text=True, timeout=30,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    return run


def project(directory: Path, toml: str = "", size: int = 0) -> Path:
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM scratch\n")
    (directory / "data").write_bytes(bytes(size))
    if toml:
        (directory / "labq.toml").write_text(toml)
    return directory


@pytest.fixture
def submitting(server: FakeServer) -> FakeServer:
    """A server that accepts jobs."""
    made = {
        "id": "12",
        "state": "queued",
        "name": "x",
        "owner": "hiro",
        "warnings": ["no node has registered yet"],
    }
    server.add_json("POST", "/v1/jobs", made, 201)
    server.add_json("POST", "/v1/jobs:check", {"why": None, "fits": ["n1", "n2"], "warnings": []})
    return server
