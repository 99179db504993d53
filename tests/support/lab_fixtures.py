"""Fixtures that start labs (see lab.py) and end them."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from support.engine import Engine
from support.lab import Lab

MakeLab = Callable[..., Lab]


@pytest.fixture
def make_lab(clean_engine: Engine) -> Iterator[MakeLab]:
    """Starts labs for one test: `make_lab(gpus="sim:1xA100-80GB", settings={"LABQ_NODE_GRACE": "3s"})`."""
    labs: list[Lab] = []

    def make(gpus: str = "sim:2xRTX-4090-24GB", settings: Mapping[str, str] | None = None) -> Lab:
        # Not pytest's own directory: its path is too long for a socket.
        lab = Lab(clean_engine, Path(tempfile.mkdtemp(prefix="labq-lab-")), gpus, settings)
        labs.append(lab)
        lab.start()
        return lab

    yield make
    close_all(labs)


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    """A lab of one node with two simulated RTX 4090, up and ready."""
    return make_lab()


@pytest.fixture(scope="module")
def shared_lab(engine: Engine) -> Iterator[Lab]:
    """One lab for all tests of a file that leave it as they found it: starting one takes seconds."""
    engine.start()
    lab = Lab(engine, Path(tempfile.mkdtemp(prefix="labq-lab-")))
    try:
        lab.start()
        yield lab
    finally:
        close_all([lab])


def close_all(labs: Sequence[Lab]) -> None:
    """Ends all labs, then tells the first failure to do so."""
    failures = []
    for lab in labs:
        try:
            lab.close()
        except AssertionError as error:
            failures.append(error)
        shutil.rmtree(lab.directory, ignore_errors=True)
    if failures:
        raise failures[0]
