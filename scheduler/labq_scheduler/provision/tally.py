"""What is known of a run while it goes: outcomes by host, failures, and what may be going on where. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labq.provision import Failure, HostStats, RunEvent, RunState
from labq_scheduler.provision.remedy import remedy

#: Failures of a run that are kept; the first are those that matter.
MOST = 50


class Tally:
    """Takes the events of a run."""

    def __init__(self, hosts: Sequence[str], lab: str) -> None:
        """Begin.

        Args:
            hosts: of the run.
            lab: path of the lab directory, for what to do.
        """
        self._hosts, self._lab = tuple(hosts), lab
        self._seconds: dict[str, float] = {}
        self._failures: list[Failure] = []
        self._task: tuple[str, str] = ("", "")
        self._done: set[str] = set()
        #: hosts that failed or were not reached: they take no part in later tasks
        self._out: set[str] = set()
        self._counts: dict[str, dict[str, int]] = {}

    def take(self, event: RunEvent) -> None:
        """Take one event."""
        if event.kind == "task":
            self._task, self._done = (event.role, event.task), set()
        elif event.host:
            self._done.add(event.host)
            self._seconds[event.host] = self._seconds.get(event.host, 0.0) + event.seconds
            counts = self._counts.setdefault(event.host, {})
            for name in ("ok", "changed") if event.outcome == "changed" else (event.outcome,):
                counts[name] = counts.get(name, 0) + 1
            if event.outcome in {"failed", "unreachable"}:
                self._out.add(event.host)
                next_step = remedy(event.host, event.role, event.task, event.message, self._lab)
                if len(self._failures) < MOST:
                    self._failures.append(
                        Failure(event.host, event.role, event.task, event.message, next_step)
                    )

    def busy(self) -> dict[str, str]:
        """Return host -> the task that may be going on there: it began, and nothing was heard of its end."""
        role, task = self._task
        if not task:
            return {}
        name = f"{role} : {task}" if role else task
        return {host: name for host in self._hosts if host not in self._done and host not in self._out}

    def stats(self, said: Mapping[str, Any] | None) -> dict[str, HostStats]:
        """Return what was done by host.

        Args:
            said: ansible's own count (``no_log`` tasks hide from events whether they changed something); None = it
                did not come to an end, and what events told is all that is known.
        """
        if said is None:
            return {host: self._counted(host) for host in self._hosts if host in self._counts}
        names = sorted(said.get("processed") or {})
        keys = {
            "ok": "ok",
            "changed": "changed",
            "failed": "failures",
            "unreachable": "dark",
            "skipped": "skipped",
        }
        return {
            host: HostStats(
                **{name: int((said.get(key) or {}).get(host, 0)) for name, key in keys.items()},
                seconds=round(self._seconds.get(host, 0.0), 1),
            )
            for host in names
        }

    def failures(self, said: Mapping[str, Any] | None) -> tuple[Failure, ...]:
        """Return the failures that count: not those that the play itself took care of (rescue).

        Args:
            said: ansible's own count; None = it did not come to an end.
        """
        # What was rescued came before what ended the host's part, so the first ones of a host are left out.
        left = dict((said or {}).get("rescued") or {})
        found = []
        for one in self._failures:
            if left.get(one.host, 0):
                left[one.host] -= 1
            else:
                found.append(one)
        return tuple(found)

    def _counted(self, host: str) -> HostStats:
        counts = self._counts[host]
        return HostStats(
            counts.get("ok", 0) + counts.get("ignored", 0), counts.get("changed", 0), counts.get("failed", 0),
            counts.get("unreachable", 0), counts.get("skipped", 0), round(self._seconds.get(host, 0.0), 1),
        )  # fmt: skip


def still_running(busy: Mapping[str, str]) -> str:
    """Return a sentence on what may be going on; "" = nothing. Pure."""
    if not busy:
        return ""
    parts = [f"on {host}: {task}" for host, task in sorted(busy.items())]
    shown = "; ".join(parts[:10]) + (f"; and on {len(parts) - 10} more" if len(parts) > 10 else "")
    return f"What had begun there may still be going on, and ends by itself: {shown}."


def judge(rc: int, status: str, stats: Mapping[str, HostStats]) -> RunState:
    """Return how a run ended. Pure.

    Args:
        rc: exit status of ansible.
        status: ansible-runner's word.
        stats: by host.
    """
    if status == "canceled":
        return RunState.CANCELLED
    bad = any(one.failed or one.unreachable for one in stats.values())
    return RunState.SUCCEEDED if rc == 0 and status == "successful" and not bad else RunState.FAILED
