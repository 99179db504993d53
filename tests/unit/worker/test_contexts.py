"""A server that restarts while a context is fetched costs time, not the build; one that refuses ends it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from labq_worker import contexts
from labq_worker.contexts import ContextError, ContextSource
from labq_worker.paths import Paths
from labq_worker.server import Server, ServerError

TAR = b"tar" * 1000
DIGEST = hashlib.sha256(TAR).hexdigest()


class Restarting:
    """Breaks off, is away, then answers."""

    def __init__(self, *answers: ServerError | bytes) -> None:
        """What it says, one after another."""
        self.answers = list(answers)

    def get(self, path: str, chunk: int) -> Iterator[bytes]:
        """Yield a part, then fail; or the whole."""
        assert path.endswith(DIGEST)
        answer = self.answers.pop(0)
        if isinstance(answer, ServerError):
            yield TAR[:100]
            raise answer
        yield answer


def source(tmp_path: Path, *answers: ServerError | bytes) -> ContextSource:
    """A source that asks such a server."""
    return ContextSource(Paths(tmp_path), cast("Server", Restarting(*answers)))


def test_a_server_that_restarts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(contexts, "FIRST_WAIT", 0.001)
    away = [ServerError("does not answer"), ServerError("starts", 503), ServerError("does not answer")]
    with source(tmp_path, *away, TAR).open(DIGEST) as handle:
        assert handle.read() == TAR
    assert caplog.text.count("trying again until it answers") == 1
    assert list((tmp_path / "contexts").iterdir()) == []


def test_a_server_that_refuses(tmp_path: Path) -> None:
    with (
        pytest.raises(ContextError, match="could not be fetched"),
        source(tmp_path, ServerError("no such", 404)).open(DIGEST),
    ):
        pass


def test_a_context_that_arrives_damaged(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="damaged"), source(tmp_path, b"other").open(DIGEST):
        pass
