"""An agent for the tests of one module, and one for a test that kills it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from integration.worker.node import AgentNode
from support.engine import Engine
from support.redis import RedisServer

Maker = Callable[..., AgentNode]


@pytest.fixture(scope="module")
def make_node(engine: Engine, redis_session: RedisServer) -> Iterator[Maker]:
    """Makes nodes that end with the module; the first finds an empty Redis."""
    redis_session.start()
    redis_session.flush()
    made: list[AgentNode] = []
    root = Path(tempfile.mkdtemp(prefix="labq-agent-"))

    def make(name: str, settings: Mapping[str, str] | None = None, data: Path | None = None) -> AgentNode:
        node = AgentNode(engine.env(), redis_session.url, data or root / name, name, settings)
        made.append(node)
        return node

    yield make
    for node in made:
        node.close()
    if not os.environ.get("LABQ_TEST_KEEP"):
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def node(make_node: Maker) -> AgentNode:
    """A node whose agent runs."""
    found = make_node("n1")
    found.start()
    return found
