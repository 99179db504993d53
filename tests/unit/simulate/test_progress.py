"""What is told while replays go on."""

from __future__ import annotations

import io

import pytest

from labq_scheduler.simulate import progress
from labq_scheduler.simulate.progress import Progress, bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_that_is_gone_at_the_end() -> None:
    stream = Terminal()
    told = Progress(stream, 200, 2)
    told(100, 1)
    assert stream.getvalue().startswith(
        "\rreplaying  [############------------]  50%  1 of 2 replays are over"
    )
    told.done()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_file_is_told_of_each_replay_once_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    told = Progress(stream, 200, 2)
    told(100, 1)
    assert stream.getvalue() == ""  # it was quick so far
    monkeypatch.setattr(progress, "_LONG", 0.0)
    told(120, 1)
    told(150, 1)
    told(200, 2)
    told.done()
    assert stream.getvalue() == "1 of 2 replays are over\n2 of 2 replays are over\n"


def test_the_time_that_is_left_is_told_when_it_can_be_known() -> None:
    assert bar(0.25, 0, 4, 10.0).endswith("25%  0 of 4 replays are over, about 30s left")
    assert bar(0.01, 0, 4, 10.0).endswith("0 of 4 replays are over")
    assert bar(1.2, 4, 4, 10.0).startswith("replaying  [########################]")
