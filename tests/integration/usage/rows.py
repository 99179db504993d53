"""Rows of use; a test shows only what matters to it."""

from __future__ import annotations

from typing import Any

from labq.usage import UsageRow

#: A full hour.
HOUR0 = 1_800_000_000


def make_row(hour: int = HOUR0, **changes: Any) -> UsageRow:
    base: dict[str, Any] = {
        "hour": hour, "node": "n1", "epoch": "e1", "gpu": "n1-0", "model": "A100", "user": "ann", "outside": True,
        "held": 100.0, "busy": 50.0,
    }  # fmt: skip
    return UsageRow(**{**base, **changes})
