"""The exporter's view of the engines: new, renamed and removed containers, and engines that restart, die or hang."""

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine import BUSYBOX, Engine
from support.waiting import wait_for

from labq.holding.engines import Containers
from labq.holding.facts import Mount

MOUNTS = (Mount("/opt"), Mount("/srv", writable=True))


def start(engine: Engine, *options: str) -> str:
    words = engine.docker(
        "run", "-d", "--label", "labq.test=1", "--network", "none", *options, BUSYBOX, "sleep", "600"
    )
    return words.split()[-1]


@pytest.fixture
def containers(clean_engine: Engine) -> Iterator[Containers]:
    made = Containers([clean_engine.host], timeout=2)
    made.start()
    yield made
    made.stop()


def knows(containers: Containers, found: str, seconds: float = 10) -> None:
    wait_for(lambda: found in containers.known(), seconds, "the container to be known")


def test_what_was_there_before_is_known_after_the_first_list(clean_engine: Engine) -> None:
    found = start(clean_engine, "--label", "mine=yes", "-u", "1001", "-v", "/srv:/data", "-v", "/opt:/o:ro")
    made = Containers([clean_engine.host])
    assert made.last_success is None
    made.start()
    try:
        knows(made, found)
        facts = made.known()[found]
        assert (facts.labels["mine"], facts.mounts, facts.asked_uid) == ("yes", MOUNTS, 1001)
        wait_for(lambda: made.last_success is not None, 10, "the first list to end")
    finally:
        made.stop()


def test_events_tell_of_new_renamed_and_removed_ones(clean_engine: Engine, containers: Containers) -> None:
    wait_for(lambda: containers.last_success, 10, "the first list")
    began = time.monotonic()
    found = start(clean_engine, "--name", "labq-test-first")
    knows(containers, found, 2)
    print(f"known {time.monotonic() - began:.3f} s after docker run was called")
    assert containers.known()[found].name == "labq-test-first"
    clean_engine.docker("rename", "labq-test-first", "labq-test-second")
    wait_for(lambda: containers.known()[found].name == "labq-test-second", 5, "the new name")
    unstarted = clean_engine.docker("create", "--label", "labq.test=1", BUSYBOX).split()[-1]
    knows(containers, unstarted)
    clean_engine.docker("rm", "-f", found, unstarted)
    wait_for(lambda: unstarted not in containers.known(), 5, "the one that never ran to be forgotten")
    assert containers.known()[found].name == "labq-test-second"


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_an_engine_that_comes_back_is_followed_again(
    clean_engine: Engine, containers: Containers, how: str
) -> None:
    before = start(clean_engine)
    knows(containers, before)
    if how == "kill":
        clean_engine.kill()
        assert before in containers.known()
        clean_engine.start()
    else:
        clean_engine.restart()
    after = start(clean_engine)
    knows(containers, after, 40)
    assert before in containers.known()
    clean_engine.docker("rename", after, "labq-test-again")
    wait_for(lambda: containers.known()[after].name == "labq-test-again", 40, "the new name, by an event")


def test_an_engine_that_hangs_keeps_nobody_waiting(
    clean_engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    made = Containers([clean_engine.host], every=0.2, timeout=1)
    found = start(clean_engine)
    made.start()
    pid = clean_engine.pid
    assert pid is not None
    try:
        knows(made, found)
        with caplog.at_level(logging.WARNING):
            os.kill(pid, signal.SIGSTOP)
            try:
                wait_for(lambda: "does not answer" in caplog.text, 20, "it to be found hanging")
                began = time.monotonic()
                assert found in made.known()
                assert time.monotonic() - began < 0.1
                heard = made.last_success
            finally:
                os.kill(pid, signal.SIGCONT)
        assert sum("does not answer" in record.message for record in caplog.records) == 1
        wait_for(lambda: (made.last_success or 0) > (heard or 0), 30, "the engine to answer again")
    finally:
        began = time.monotonic()
        made.stop()
        assert time.monotonic() - began < 5


def test_each_engine_fails_alone(
    clean_engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deaf = tmp_path / "deaf.sock"
    alias = tmp_path / "alias.sock"
    alias.symlink_to(clean_engine.directory / "docker.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(deaf))
        listener.listen(1)
        made = Containers(
            [str(deaf), clean_engine.host, str(alias), str(tmp_path / "absent.sock")], timeout=1
        )
        made.start()
        try:
            knows(made, start(clean_engine))
            wait_for(lambda: f"engine at {deaf} does not" in caplog.text, 10, "the deaf one to be noticed")
            assert made.last_success is None
        finally:
            made.stop()


def test_a_machine_without_engines_is_well(tmp_path: Path) -> None:
    made = Containers([str(tmp_path / "absent.sock")])
    made.start()
    try:
        assert made.known() == {}
        assert made.last_success is not None
    finally:
        made.stop()
