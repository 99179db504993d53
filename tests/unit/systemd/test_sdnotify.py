"""What systemd hears of a program: ready, and fed only while every loop of it comes round."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.waiting import wait_for

from labq.sdnotify import Supervised


class Systemd:
    """The socket that a unit's program is given."""

    def __init__(self, path: str) -> None:
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.line.bind("\0" + path[1:] if path.startswith("@") else path)
        self.line.settimeout(5)

    def heard(self) -> dict[str, str]:
        """The next datagram."""
        text = self.line.recv(4096).decode()
        assert text.endswith("\n")
        return dict(row.split("=", 1) for row in text.splitlines())

    def silent(self) -> bool:
        self.line.settimeout(0.2)
        try:
            self.line.recv(4096)
        except TimeoutError:
            return True
        return False


@pytest.fixture(params=["{}/notify", "@labq-test-{}"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Systemd, str]]:
    """A socket of a file, and one without, as systemd gives either."""
    path = request.param.format(tmp_path if "/" in request.param else tmp_path.name)
    found = Systemd(path)
    yield found, path
    found.line.close()


def test_a_program_says_that_it_is_ready_and_what_it_does(systemd: tuple[Systemd, str]) -> None:
    listener, path = systemd
    Supervised(path).ready("waits for\nRedis")
    assert listener.heard() == {"READY": "1", "STATUS": "waits for Redis"}


def test_it_is_fed_while_every_loop_comes_round_and_not_while_one_hangs(systemd: tuple[Systemd, str]) -> None:
    listener, path = systemd
    mine = Supervised(path, 60.0)
    quick, slow = mine.loop("quick", 1000.0), mine.loop("slow", 1000.0)
    assert mine.feed()
    assert listener.heard() == {"WATCHDOG": "1"}
    slow.last -= 2000.0
    quick.beat()
    assert not mine.feed()
    assert listener.heard() == {"STATUS": "hangs: slow"}
    slow.beat()
    assert mine.feed()
    assert listener.heard() == {"WATCHDOG": "1"}


def test_a_loop_that_hangs_is_named_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    mine = Supervised("", 60.0)
    mine.loop("reconcile", 10.0).last -= 11.0
    mine.loop("messages", 10.0)
    mine.feed()
    mine.feed()
    assert [record.getMessage() for record in caplog.records] == [
        "loop reconcile has not come round for 10 s: systemd will start this program again"
    ]


def test_the_thread_feeds_three_times_within_the_watchdogs_time(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    listener, mine = Systemd(path), Supervised(path, 0.3)
    try:
        mine.ready("begins")
        assert listener.heard()["READY"] == "1"
        mine.does(lambda: "3 jobs")
        assert listener.heard() == {"STATUS": "3 jobs"}
        for _ in range(3):
            assert listener.heard() == {"WATCHDOG": "1", "STATUS": "3 jobs"}
        mine.stopping()
        wait_for(lambda: listener.heard() == {"STOPPING": "1"}, 5, "STOPPING=1")
        assert listener.silent()
    finally:
        mine.stopping()
        listener.line.close()


def test_what_is_done_that_cannot_be_said_is_no_reason_to_be_killed(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    listener, mine = Systemd(path), Supervised(path, 0.3)

    answers = iter(["all is well"])
    try:
        mine.ready("begins")
        listener.heard()
        mine.does(lambda: next(answers))  # and then StopIteration
        listener.heard()
        assert listener.heard() == {"WATCHDOG": "1"}
    finally:
        mine.stopping()
        listener.line.close()


def test_the_environment_is_read_once_so_that_no_child_speaks_for_us() -> None:
    env = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7", "PATH": "/bin"}
    mine = Supervised.from_environment(env, 7)
    assert env == {"PATH": "/bin"}
    assert (mine._address, mine._watchdog) == ("/x", 60.0)


def test_a_watchdog_that_is_meant_for_another_process_is_not_fed() -> None:
    env = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}
    assert Supervised.from_environment(env, 7)._watchdog == 0.0


def test_without_systemd_nothing_happens_and_a_socket_that_is_gone_is_no_error(tmp_path: Path) -> None:
    nobody = Supervised.from_environment({}, 1)
    nobody.ready("x")
    assert nobody.feed()
    Supervised(str(tmp_path / "gone"), 60.0).say({"STATUS": "x"})
