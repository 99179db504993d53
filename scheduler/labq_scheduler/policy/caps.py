"""What a person or a group may hold at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from labq_scheduler.policy import rules as site


class Caps:
    """Who holds how much in this pass, against the rules."""

    def __init__(self, rules: site.Rules, gpus: Mapping[str, float], jobs: Mapping[str, int]) -> None:
        """Begin with what is held now.

        Args:
            rules: the caps.
            gpus: person -> GPUs held.
            jobs: person -> jobs that hold something.
        """
        self._rules = rules
        self._gpus, self._jobs = dict(gpus), dict(jobs)
        self._used = rules.cap != site.Caps() or bool(rules.caps) or bool(rules.group_caps)
        self._group_gpus: dict[str, float] = {}
        self._group_jobs: dict[str, int] = {}
        for name, number in gpus.items():
            group = rules.groups.get(name, "")
            self._group_gpus[group] = self._group_gpus.get(group, 0.0) + number
        for name, count in jobs.items():
            group = rules.groups.get(name, "")
            self._group_jobs[group] = self._group_jobs.get(group, 0) + count

    def reached(self, owner: str, gpus: float) -> str | None:
        """Return why a job of ``gpus`` GPUs may not start for its owner's sake; None when it may."""
        if not self._used:
            return None
        cap = self._rules.cap_of(owner)
        said = _over(f"{owner} holds", cap, self._gpus.get(owner, 0.0), self._jobs.get(owner, 0), gpus)
        group = self._rules.groups.get(owner, "")
        if said is None and group in self._rules.group_caps:
            cap = self._rules.group_caps[group]
            held, running = self._group_gpus.get(group, 0.0), self._group_jobs.get(group, 0)
            said = _over(f"the group {group} holds", cap, held, running, gpus)
        return said

    def started(self, owner: str, gpus: float) -> None:
        """Note a start."""
        group = self._rules.groups.get(owner, "")
        self._gpus[owner] = self._gpus.get(owner, 0.0) + gpus
        self._jobs[owner] = self._jobs.get(owner, 0) + 1
        self._group_gpus[group] = self._group_gpus.get(group, 0.0) + gpus
        self._group_jobs[group] = self._group_jobs.get(group, 0) + 1


def never(rules: site.Rules, owner: str, gpus: float) -> str | None:
    """Return why a job of ``gpus`` GPUs may never start for its owner's sake, whatever is free; None when it may."""
    group = rules.groups.get(owner, "")
    for who, cap in (
        (owner, rules.cap_of(owner)),
        (f"the group {group}", rules.group_caps.get(group, site.Caps())),
    ):
        if (cap.gpus is not None and gpus > cap.gpus + 1e-9) or cap.jobs == 0:
            most = "no running jobs" if cap.jobs == 0 else _count(cap.gpus or 0, "GPU")
            return f"the lab's rules allow {who} {most} at once"
    return None


def _over(who: str, cap: site.Caps, held: float, running: int, gpus: float) -> str | None:
    if cap.gpus is not None and gpus and held + gpus > cap.gpus + 1e-9:
        more = f": {gpus:.3g} more {'is' if gpus == 1 else 'are'} too many" if held < cap.gpus - 1e-9 else ""
        return f"{who} {_count(held, 'GPU')}, and the lab's rules allow {cap.gpus:g} at once{more}"
    if cap.jobs is not None and running + 1 > cap.jobs:
        return f"{who} {_count(running, 'running job')}, and the lab's rules allow {cap.jobs} at once"
    return None


def _count(number: float, thing: str) -> str:
    return f"{number:.3g} {thing}" + ("" if number == 1 else "s")
