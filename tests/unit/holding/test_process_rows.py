"""Rows of the driver about processes: garbage, leftovers and duplicates are not believed."""

import pytest

from labq.holding.process_rows import AHEAD, PID_LIMIT, UseRow, believable, latest_use, processes, since
from labq.holding.samples import GpuProcess

GIB = 1024**3
NOW = 1_800_000_000.0
NOW_US = round(NOW * 1_000_000)


@pytest.mark.parametrize("pid", [0, -1, PID_LIMIT, 4294967295])
def test_a_pid_that_no_process_can_have_is_dropped(pid: int) -> None:
    assert believable([(pid, GIB), (PID_LIMIT - 1, GIB)], 24 * GIB) == {PID_LIMIT - 1: GIB}


@pytest.mark.parametrize(
    ("rows", "memory"),
    [
        ([(7, 3), (7, 5)], 5),
        ([(7, 5), (7, 3)], 5),
        ([(7, None), (7, 3)], 3),
        ([(7, 3), (7, None)], 3),
        ([(7, None), (7, None)], None),
    ],
)
def test_a_process_in_two_lists_counts_once(rows: list[tuple[int, int | None]], memory: int | None) -> None:
    assert believable(rows, 24 * GIB) == {7: memory}


def test_a_process_is_not_believed_more_memory_than_the_gpu_has() -> None:
    assert believable([(7, 25 * GIB), (8, 24 * GIB)], 24 * GIB) == {7: None, 8: 24 * GIB}
    assert believable([(7, 25 * GIB)], 0) == {7: 25 * GIB}


def test_the_first_question_is_about_the_last_second_and_never_about_all_time() -> None:
    assert since(0, NOW) == NOW_US - 1_000_000


def test_later_questions_go_on_where_the_last_answer_ended() -> None:
    assert since(NOW_US - 30_000_000, NOW) == NOW_US - 30_000_000


def test_a_clock_that_was_set_back_does_not_make_everybody_idle() -> None:
    assert since(NOW_US + 3600 * 1_000_000, NOW) == NOW_US - 1_000_000


def test_rows_that_make_no_sense_are_dropped() -> None:
    rows = [
        UseRow(0, NOW_US, 50),
        UseRow(PID_LIMIT, NOW_US, 50),
        UseRow(7, NOW_US, 101),
        UseRow(7, NOW_US - 10, 50),
        UseRow(7, NOW_US + AHEAD + 1, 50),
        UseRow(8, NOW_US, 100),
    ]
    assert latest_use(rows, NOW_US - 10, NOW) == ({8: 1.0}, NOW_US)


def test_of_several_samples_of_a_process_the_newest_counts() -> None:
    rows = [UseRow(7, NOW_US - 5, 10), UseRow(7, NOW_US - 1, 30), UseRow(7, NOW_US - 3, 20)]
    assert latest_use(rows, NOW_US - 10, NOW) == ({7: 0.3}, NOW_US - 1)


def test_without_a_sample_time_does_not_move_on() -> None:
    assert latest_use([], NOW_US - 10, NOW) == ({}, NOW_US - 10)


def test_a_process_without_a_sample_is_idle_unless_the_driver_cannot_say() -> None:
    assert processes({9: None, 7: 5}, {7: 0.5}) == (GpuProcess(7, 5, 0.5), GpuProcess(9, None, 0.0))
    assert processes({7: 5}, None) == (GpuProcess(7, 5, None),)
