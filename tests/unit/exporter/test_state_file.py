"""The file of the counters, when it is not what this program wrote."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from labq_exporter.state import State
from labq_exporter.totals import Totals


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "[" * 100_000, '{"a":' * 100_000, "\xff"])
def test_a_file_that_cannot_be_read_lets_the_counters_begin_anew_and_says_so(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    state = State(tmp_path)
    (tmp_path / "exporter" / "state.json").write_text(text, "latin-1")
    with caplog.at_level(logging.WARNING):
        assert state.load(100.0).held == Totals().held
    state.close()
    assert "cannot be read, the counters begin at 0" in caplog.text
