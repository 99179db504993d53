"""Durations for people. Apart from units.py, whose patterns would cost the command line a start-up it can spare."""

from __future__ import annotations


def about_duration(seconds: float) -> str:
    """Return ``seconds`` for people, two units at most: ``2h05m``, ``3d4h``, ``41s``."""
    total = max(0, round(seconds))
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m{total % 60:02d}s"
    if total < 86400:
        return f"{total // 3600}h{total % 3600 // 60:02d}m"
    return f"{total // 86400}d{total % 86400 // 3600}h"
