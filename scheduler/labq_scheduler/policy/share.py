"""Who has had less than a fair part: a factor from 0 to 1 for each person. Pure.

    F = 2^(-(U / S))      U = the person's part of all use, S = the part that the person is entitled to

as Slurm's classic multifactor priority computes it (priority_multifactor, "fair-share factor"): 1 for who used nothing,
0.5 for who used just the fair part, 0.25 for twice that. Use is decayed GPU-seconds, weighted by the card, outside the
queue included. Entitled are those who have jobs that wait or run: a fair part is 1/n of the lab when n people want it.
With groups the same is computed for groups, and F is the geometric mean of the group's and of the person's in the group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt

from labq_scheduler.policy.rules import Rules


def factors(active: Iterable[str], usage: Mapping[str, float], rules: Rules) -> dict[str, float]:
    """Return the fair share factor of each active person.

    Args:
        active: people with jobs that wait or run.
        usage: person -> decayed GPU-seconds, also of people who are not active.
        rules: shares and groups.
    """
    people = sorted(set(active))
    total = sum(usage.values())
    if not rules.groups:
        return _factors({name: rules.shares.get(name, 1.0) for name in people}, usage, total)
    members: dict[str, list[str]] = {}
    for name in people:
        members.setdefault(rules.groups.get(name, ""), []).append(name)
    used: dict[str, float] = {}
    for name, value in usage.items():
        group = rules.groups.get(name, "")
        used[group] = used.get(group, 0.0) + value
    parts = {group: rules.group_shares.get(group, 1.0) for group in members}
    of_groups = _factors(parts, used, total)
    found: dict[str, float] = {}
    for group, names in members.items():
        inside = _factors({name: rules.shares.get(name, 1.0) for name in names}, usage, used.get(group, 0.0))
        found |= {name: sqrt(of_groups[group] * factor) for name, factor in inside.items()}
    return found


def _factors(parts: Mapping[str, float], used: Mapping[str, float], total: float) -> dict[str, float]:
    """Return 2^-(part of the use / part entitled to) of each."""
    if total <= 0:
        return dict.fromkeys(parts, 1.0)
    entitled = sum(parts.values())
    return {
        name: 2.0 ** -(used.get(name, 0.0) / total * entitled / part) if part > 0 else 0.0
        for name, part in parts.items()
    }
