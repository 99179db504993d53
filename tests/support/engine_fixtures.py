"""Fixtures that start the private engine (see engine.py) and end it.

Each test run takes a slot of its own (socket, data, bridge), so two runs on one machine do not meet; a daemon that a
killed run left in its slot is used again.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from support.engine import STATE, Engine
from support.need import need

REPO = Path(__file__).parents[2]
SLOTS = 8


def take_slot() -> tuple[int, IO[str]]:
    """Returns the first slot that no living test run holds, and the open file whose lock holds it."""
    STATE.mkdir(parents=True, exist_ok=True)
    for slot in range(SLOTS):
        (STATE / str(slot)).mkdir(exist_ok=True)
        held = (STATE / str(slot) / "in-use").open("w")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.close()
        else:
            return slot, held
    raise AssertionError(f"{SLOTS} test runs hold all slots of {STATE}")


@contextlib.contextmanager
def open_engine() -> Iterator[Engine]:
    """A private engine with the base images python:3.11-slim and labq-test/busybox, for tests and benchmarks."""
    need(os.geteuid() == 0, "root, for a Docker engine of its own")
    need(shutil.which("dockerd"), "dockerd (apt-get install docker.io)")
    need(
        shutil.which("ip") and shutil.which("iptables"), "ip and iptables (apt-get install iproute2 iptables)"
    )
    slot, held = take_slot()
    with held:
        engine = Engine(slot)
        try:
            engine.start()
            engine.remove_containers()
            bases = subprocess.run(
                [REPO / "scripts" / "bases"],
                env=engine.env(),
                text=True,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                check=False,
            )
            assert bases.returncode == 0, f"scripts/bases failed: {bases.stdout}{bases.stderr}"
            yield engine
        finally:
            engine.close()


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A private engine for all tests of a run."""
    with open_engine() as found:
        yield found


@pytest.fixture
def clean_engine(engine: Engine) -> Iterator[Engine]:
    """The same engine, up at the start of the test, and rid of its containers after it."""
    engine.start()
    yield engine
    engine.start()
    engine.remove_containers()
