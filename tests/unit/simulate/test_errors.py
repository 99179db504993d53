"""The error of forecasts is measured against what came: nothing of it with true estimates, and tables of the rest."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from labq_scheduler.policy.rules import Rules
from labq_scheduler.simulate.errors import Both, Errors, main, measure_errors, percentile, table
from labq_scheduler.simulate.traces import TraceJob

RULES = Rules(gangs=True)


def workload(count: int, seconds: float | None) -> list[TraceJob]:
    """Return jobs of three people; each runs for ``seconds``, or as long as the dice say."""
    dice = random.Random(4)
    return [
        TraceJob(
            str(number), f"user{dice.randrange(3)}", 200.0 * number,
            seconds if seconds is not None else dice.lognormvariate(7, 1), dice.choice([1, 1, 2]),
        )
        for number in range(count)
    ]  # fmt: skip


def rows(errors: Errors, name: str, moment: str) -> list[float]:
    return [row.error(name) for row in errors.rows if row.moment == moment]


def test_when_all_runs_are_alike_forecasts_are_nearly_true() -> None:
    errors, both = measure_errors(workload(200, 1000.0), "2x2", RULES, every=5)
    found = rows(errors, "ours", "at half the wait")
    assert len(found) >= 10
    assert percentile(found, 0.5) < 0.3
    assert percentile(both.errors["ours"][10:], 0.9) == 0.0


def test_the_table_has_every_estimator_at_both_moments() -> None:
    errors, both = measure_errors(workload(120, None), "1x4", RULES, every=5)
    assert {row.moment for row in errors.rows} == {"at submit", "at half the wait"}
    assert all(math.isfinite(row.error(name)) for row in errors.rows for name in row.said)
    text = table(errors, both)
    assert text.count("last-two") == 3
    assert text.count("naive") == 2


def test_a_percentile_is_the_nearest_rank() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.9) == 4.0
    assert math.isnan(percentile([], 0.5))


def test_the_program_prints_the_table_and_refuses_what_is_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace.csv"
    lines = [f"{job.user},{job.submitted},{job.duration},{job.gpus}" for job in workload(40, None)]
    path.write_text("user,submit_s,duration_s,gpus\n" + "\n".join(lines) + "\n")
    assert main([str(path), "--machines", "1x2", "--every", "3"]) == 0
    assert "run time" in capsys.readouterr().out
    assert main([str(tmp_path / "none.csv"), "--machines", "1x2"]) == 2
    assert "none.csv" in capsys.readouterr().err


def test_both_estimators_learn_the_same_runs() -> None:
    errors, both = measure_errors(workload(30, None), "4x4", RULES, every=1000)
    assert errors.rows == []
    assert isinstance(both, Both)
    assert len(both.errors["ours"]) == len(both.errors["last-two"]) == 30
