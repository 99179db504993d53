from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labq.errors import BadInputError
from labq.ids import format_array, parse_array, sort_key
from labq.units import (
    MAX_BYTES,
    about_bytes,
    about_duration,
    format_bytes,
    format_duration,
    parse_bytes,
    parse_duration,
)


@given(st.integers(1, MAX_BYTES))
def test_bytes_survive_printing(value: int) -> None:
    if value < 2**53:  # above, a size without a unit passes through a float
        assert parse_bytes(format_bytes(value)) == value


@given(st.integers(1, 10 * 365 * 86400))
def test_durations_survive_printing(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1d12h", 129600), ("1:30:00", 5400), ("1.5h", 5400), (60, 60)]
)
def test_durations_are_read(text: str | int, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1h", "1x", "1h 30m", "h", True, "1:99:00", "99999999d"])
def test_nonsense_durations_are_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "0", "-1GB", "GB", "1PB", "1e9", True, "1 0GB"])
def test_nonsense_sizes_are_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        parse_bytes(text)


def test_sizes_and_durations_for_people_are_short() -> None:
    assert about_bytes(25769803776) == "24GB"
    assert about_duration(7500) == "2h05m"
    assert about_duration(273600) == "3d4h"


@given(st.sets(st.integers(0, 5000), min_size=1, max_size=50))
def test_arrays_survive_printing(indices: set[int]) -> None:
    assert parse_array(format_array(sorted(indices))) == sorted(indices)


@pytest.mark.parametrize("text", ["", "a", "9-0", "0-", "0-99999999", "0-10:0", "-1", "0-10001", "1,,2"])
def test_nonsense_arrays_are_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        parse_array(text)


def test_ids_sort_in_the_order_in_which_they_were_made() -> None:
    assert sorted(["10", "9", "9.10", "9.2"], key=sort_key) == ["9", "9.2", "9.10", "10"]
