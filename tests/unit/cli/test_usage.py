"""What `labq usage` draws and writes."""

from __future__ import annotations

import csv
import io
from typing import Any

from labq.cli.render.usage import NUMBERS, hours, nothing, usage_csv, usage_text


def row(key: str | None, **numbers: float | None) -> dict[str, Any]:
    empty: dict[str, float | None] = dict.fromkeys(NUMBERS, 0.0) | {
        "jobs": 0, "busy_gpu_hours": None, "idle_gpu_hours": None,
    }  # fmt: skip
    return {"key": key, **empty, **numbers}


def answer(*rows: dict[str, Any], by: str = "user", total: dict[str, float] | None = None) -> dict[str, Any]:
    return {
        "since": "2026-11-13T00:00:00.000Z", "until": "2026-11-20T00:00:00.000Z", "by": by, "rows": list(rows),
        "total": row(None, **(total or {})),
    }  # fmt: skip


HIRO = row(
    "hiro", jobs=3, allocated_gpu_hours=120.0, busy_gpu_hours=90.0, idle_gpu_hours=30.0, busy_known_gpu_hours=120.0,
    charged_gpu_hours=55.5,
)  # fmt: skip
SIMULATED = row("yuki", jobs=1, allocated_gpu_hours=2.25, charged_gpu_hours=2.0)


def test_a_table_has_a_line_for_each_and_a_total() -> None:
    total = {"jobs": 4, "allocated_gpu_hours": 122.25, "busy_gpu_hours": 90.0, "busy_known_gpu_hours": 120.0}
    lines = usage_text(answer(HIRO, SIMULATED, total=total), 160).splitlines()
    assert lines[0].endswith("(7d)")
    assert lines[1].split("  ")[0] == "USER"
    assert lines[2].split() == ["hiro", "3", "120", "90.0", "(75%)", "30.0", "0", "0", "55.5"]
    assert lines[3].split() == ["yuki", "1", "2.2", "-", "-", "0", "0", "2.0"]
    assert lines[4].split()[:4] == ["total", "4", "122", "90.0"]


def test_what_was_not_measured_is_never_zero_and_said_when_it_is_much() -> None:
    total = {"allocated_gpu_hours": 100.0, "busy_gpu_hours": 1.0, "busy_known_gpu_hours": 10.0}
    assert "busy and idle are known of 10.0 of the 100 allocated" in usage_text(
        answer(HIRO, total=total), 160
    )


def test_charged_is_shown_by_user_only_and_nobodys_group_has_a_name() -> None:
    text = usage_text(answer(row("", jobs=1), by="group"), 160)
    assert "CHARGED" not in text
    assert "(no group)" in text


def test_a_narrow_terminal_still_has_who_and_how_much() -> None:
    text = usage_text(answer(HIRO), 60)
    assert max(len(line) for line in text.splitlines()[1:]) <= 60
    assert "ALLOCATED" in text


def test_csv_reads_back_with_plain_numbers_and_empty_for_unknown() -> None:
    text = usage_csv(answer(HIRO, SIMULATED | {"key": 'y,"k'}))
    assert text.count("\r\n") == 3
    head, hiro, yuki = csv.reader(io.StringIO(text))
    assert head == ["user", "since", "until", *NUMBERS]
    assert dict(zip(head, hiro, strict=True))["allocated_gpu_hours"] == "120.0"
    assert yuki[0] == 'y,"k'
    assert dict(zip(head, yuki, strict=True))["busy_gpu_hours"] == ""


def test_nothing_says_what_would_fill_it() -> None:
    assert "labq submit" in nothing(answer(), None)
    assert nothing(answer(), "hiro").startswith("hiro used no GPU")


def test_hours_are_short_and_never_wrong_by_much() -> None:
    shown = [hours(value) for value in (None, 0, 0.004, 0.26, 3.14, 99.96, 1234.5)]
    assert shown == ["-", "0", "<0.01", "0.26", "3.1", "100.0", "1,234"]
