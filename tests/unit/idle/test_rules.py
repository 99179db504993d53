"""What a lab may say of idle jobs: a time that could never come is refused when the server starts."""

from __future__ import annotations

import pytest
from builders import holding_job

from labq.errors import BadInputError
from labq.settings import Settings
from labq_scheduler.idle.windows import BUCKET, EVERY, LONGEST, Windows
from labq_scheduler.verbs.lab import Site


def site(**said: str) -> Site:
    return Site.from_settings(Settings(said, env={"LABQ_CONFIG": "/nowhere"}))


@pytest.mark.parametrize("said", ["19m", "48h1s", "3d"])
def test_a_reclaim_that_is_too_short_or_could_never_come_is_refused_with_the_legal_range(said: str) -> None:
    with pytest.raises(BadInputError) as refused:
        site(idle_reclaim=said)
    assert f"LABQ_IDLE_RECLAIM={said!r}" in str(refused.value)
    assert "from 20m to 48h" in str(refused.value)


@pytest.mark.parametrize("said", ["20m", "2h", "48h", ""])
def test_what_the_error_calls_legal_is_legal(said: str) -> None:
    assert site(idle_reclaim=said).idle.warn == 1800.0


@pytest.mark.parametrize("seconds", [LONGEST - 900.0, LONGEST - BUCKET, LONGEST])
def test_the_longest_legal_time_does_come(seconds: float) -> None:
    job, made, at = holding_job("1", "n1", "g0"), Windows(), 0.0
    while at < seconds + 3 * BUCKET:
        made.note(job, busy=False, at=at)
        at += EVERY
    assert made.is_idle(job, seconds, at)
