"""Prints figures: the median with its spread, beside the bar that the project set itself."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value below which ``part`` (0 to 1) of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def row(what: str, values: Sequence[float], unit: str, bar: str = "") -> None:
    """Print one line: median, 95th percentile, minimum, maximum, number of values."""
    print(
        f"{what:<58} median {percentile(values, 0.5):9.2f} {unit:<4} p95 {percentile(values, 0.95):9.2f} "
        f"min {min(values):9.2f} max {max(values):9.2f} n={len(values):<4} {bar and 'bar: ' + bar}",
        flush=True,
    )


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n== {text}", flush=True)
