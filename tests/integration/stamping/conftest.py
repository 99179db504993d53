"""A proxy for each test, and people to use it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.stamping.proxy import Proxy
from support.engine import Engine
from support.people import people as people


@pytest.fixture
def proxy(clean_engine: Engine) -> Iterator[Proxy]:
    directory = Path(tempfile.mkdtemp(prefix="labq-stamp-", dir="/run"))
    directory.chmod(0o755)
    found = Proxy(clean_engine, directory)
    found.start()
    yield found
    found.end()
    log = found.log
    shutil.rmtree(directory)
    assert "Traceback" not in log, log
    assert "connection failed" not in log, log
