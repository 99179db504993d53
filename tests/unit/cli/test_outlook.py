"""When a job is expected to start, as people read it. Pure."""

from __future__ import annotations

import time
from typing import Any

import pytest

from labq.cli.render import outlook
from labq.cli.render.jobs import jobs_table
from labq.cli.render.moments import epoch
from labq.cli.render.reason import reason


def test_an_estimate_is_a_moment_with_its_range_and_what_would_be_sooner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    now = epoch("2026-12-01T10:00:00Z") or 0.0
    answer = {
        "estimate": {
            "early": "2026-12-01T13:05:00Z", "likely": "2026-12-01T14:20:00Z", "late": "2026-12-02T02:00:00Z",
            "node": "n2", "looked_until": None,
        },
        "starts_by": "2026-12-04T10:00:00Z",
        "sooner": [
            {"text": "1 × 24GB or more", "flag": "--gpus 24GB+", "start": None, "node": "n2"},
            {"text": "any node", "flag": "no --node", "start": "2026-12-01T11:00:00Z", "node": "n3"},
        ],
    }  # fmt: skip
    assert list(outlook.lines(answer, now)) == [
        "estimated start: today 14:20 (between 13:05 and tomorrow 02:00), on n2",
        "it starts by Fri 10:00 at the latest: the lab's wait bound",
        "sooner would be: 1 × 24GB or more (--gpus 24GB+): now on n2",
        "                 any node (no --node): today 11:00 on n3",
    ]


def test_an_estimate_says_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    now = epoch("2026-12-01T10:00:00Z") or 0.0
    none = {"early": None, "likely": None, "late": None, "node": None, "looked_until": "2026-12-15T10:00:00Z"}
    some = {**none, "early": "2026-12-03T10:00:00Z"}
    never = {**none, "looked_until": None}

    def said(estimate: dict[str, Any] | None) -> list[str]:
        return list(outlook.lines({"estimate": estimate}, now))

    assert said(None) == []
    assert said(none) == ["estimated start: after 2026-12-15 10:00"]
    assert said(some) == ["estimated start: not before Thu 10:00, likely after 2026-12-15 10:00"]
    assert said(never) == ["estimated start: none, as long as that is so"]
    assert said({**never, "as_of": "2026-12-01T09:59:50Z"}) == [
        "estimated start: none, as long as that is so"
    ]
    assert said({**never, "as_of": "2026-12-01T09:59:15Z"}) == [
        "estimated start: none, as long as that is so; as of 45s ago"
    ]
    nothing = {"estimate": None, "no_estimate": "it is being worked out; ask again in a minute"}
    assert list(outlook.lines(nothing, now)) == [
        "estimated start: it is being worked out; ask again in a minute"
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, "?"), ("2026-12-01T10:00:30Z", "soon"), ("2026-12-01T14:20:00Z", "~14:20"),
        ("2026-12-03T09:15:00Z", "~Thu 09:15"), ("2026-12-24T09:15:00Z", "~24 Dec"),
    ],
)  # fmt: skip
def test_a_likely_start_is_short_in_a_table(
    text: str | None, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert outlook.short(text, epoch("2026-12-01T10:00:00Z") or 0.0) == shown


def test_the_list_has_a_column_of_starts_only_where_something_waits() -> None:
    waits = {"id": "1", "state": "queued", "estimated_start": None, "submitted_at": "2026-12-01T10:00:00Z"}
    over = {"id": "2", "state": "failed", "estimated_start": None, "submitted_at": "2026-12-01T10:00:00Z"}
    assert "STARTS" in jobs_table([waits, over], 0.0, 120)
    assert "STARTS" not in jobs_table([over], 0.0, 120)


def test_times_in_a_reason_are_those_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    now = epoch("2026-12-01T10:00:00Z") or 0.0
    assert (
        reason("it is not to start before 2026-12-01T13:20:31.661Z", now)
        == "it is not to start before today 22:20"
    )
    assert reason(
        "attempt 1 ended (its command failed); it is tried again at 2026-12-01T16:00:05Z", now
    ).endswith("again at tomorrow 01:00")
    assert reason("kept from 2026-12-08 00:00 UTC until 2026-12-08 09:00 UTC (course)", now) == (
        "kept from 2026-12-08 09:00 until 2026-12-08 18:00 (course)"
    )
    assert reason("n1 has 0 of 2 GPUs free\x1b[2J", now) == "n1 has 0 of 2 GPUs free�[2J"
