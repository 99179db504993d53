"""Runs of the provisioner: live progress by host, the table at the end, lists. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labq.cli.render.moments import about, between, local
from labq.cli.render.text import clean, clip, pad, paint, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STATES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan", "queued": "grey"}
_BAD = frozenset({"failed", "unreachable"})
#: Outcomes that are worth a line where there is no terminal.
_TOLD = frozenset({"changed", "failed", "unreachable"})


class Progress:
    """What is known of a run, from its news."""

    def __init__(self) -> None:
        """Know nothing."""
        self.run: Mapping[str, Any] = {}
        self.said: list[str] = []
        self._counts: dict[str, dict[str, int]] = {}
        self._task = ""
        #: host -> outcome of the present task there
        self._done: dict[str, str] = {}
        self._bad: dict[str, str] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event."""
        kind, host, outcome = event["kind"], str(event["host"]), str(event["outcome"])
        if kind == "say":
            self.said.append(clean(str(event["message"])))
        elif kind == "task":
            self._task, self._done = name_of(event), {}
        else:
            counts = self._counts.setdefault(host, {})
            counts[outcome] = counts.get(outcome, 0) + 1
            self._done[host] = outcome
            if outcome in _BAD:
                self._bad[host] = f"{outcome}: {name_of(event)}"

    def picture(self, width: int, rows: int, *, colours: bool) -> list[str]:
        """Return a line for each host, at most ``rows``; those that failed are always among them.

        Args:
            width: columns of the terminal.
            rows: lines that there is room for.
            colours: colour what failed.
        """
        hosts = [str(host) for host in self.run.get("hosts") or []]
        if not hosts:
            waits = ", ".join(self.run.get("waits_for") or [])
            return [f"waits for run {waits}" if waits else "asks ansible what is meant …"]
        wide = max(len(host) for host in hosts)
        shown = (
            hosts if len(hosts) <= rows else sorted(hosts, key=lambda host: host not in self._bad)[: rows - 1]
        )
        lines = [self._line(host, wide, width, colours) for host in shown]
        if len(shown) < len(hosts):
            lines.append(f"… and {len(hosts) - len(shown)} more")
        return lines

    def _line(self, host: str, wide: int, width: int, colours: bool) -> str:
        counts = self._counts.get(host, {})
        done = counts.get("ok", 0) + counts.get("changed", 0) + counts.get("ignored", 0)
        head = f"{pad(clean(host), wide)}  ok {done:>3}  changed {counts.get('changed', 0):>3}  "
        if host in self._bad:
            return paint(clip(head + clean(self._bad[host]), width), "red", colours)
        if self.run.get("waits_for") and self.run.get("state") == "queued":
            return clip(f"{head}waits for run {', '.join(self.run['waits_for'])}", width)
        doing = f"({self._task})" if host in self._done else self._task
        return clip(head + doing, width)


def still_queued(run: Mapping[str, Any], seconds: float) -> str:
    """Return what a run that has not begun waits for.

    Args:
        run: as the API shows it.
        seconds: for which it was seen to wait.
    """
    head = f"run {clean(str(run['id']))} is queued for {about(seconds)}"
    if run["waits_for"]:
        return f"{head}: it waits for run {', '.join(run['waits_for'])}, which holds one of its hosts"
    return (
        f"{head}: it waits for labq-provisioner to begin it, which takes seconds; on the control machine: "
        "journalctl -u labq-provisioner -n 50"
    )


def name_of(event: Mapping[str, Any]) -> str:
    """Return role and task of an event: ``docker : Install Docker``."""
    role, task = clean(str(event["role"])), clean(str(event["task"]))
    return f"{role} : {task}" if role else task


def plain(event: Mapping[str, Any]) -> str:
    """Return the line of an event where there is no terminal; "" = it is worth none."""
    if event["kind"] == "say":
        host, said = clean(str(event["host"])), clean(str(event["message"]))
        return said if host in said else f"{host}: {said}"
    if event["kind"] == "task" or event["outcome"] not in _TOLD:
        return ""
    line = f"{clean(str(event['host']))}  {event['outcome']}  {name_of(event)}"
    seconds = float(event["seconds"])
    return f"{line}  {about(seconds)}" if seconds >= 1 else line


def difference(event: Mapping[str, Any]) -> str:
    """Return what a task changes in files, indented; "" = nothing is known of that."""
    if event["outcome"] not in {"changed", "ok"} or not event["message"]:
        return ""
    lines = [f"  | {clean(line)}" for line in str(event["message"]).splitlines()]
    return "\n".join([f"{clean(str(event['host']))}  {name_of(event)}", *lines])


def summary(run: Mapping[str, Any], now: float, width: int, *, colours: bool = False) -> str:
    """Return how a run went: a table by host, what failed and what to do, and one sentence.

    Args:
        run: as the API shows it.
        now: seconds since the epoch.
        width: columns of the terminal.
        colours: colour the states.
    """
    parts = []
    stats = run["stats"]
    if stats:
        keys = ("ok", "changed", "failed", "unreachable", "skipped")
        rows = [
            [clean(host), *(str(one[key]) for key in keys), about(one["seconds"])]
            for host, one in stats.items()
        ]
        tints = [_tints(one, keys) for one in stats.values()] if colours else None
        parts.append(
            table(
                ["HOST", *(key.upper() for key in keys), "TIME"],
                rows,
                width,
                colour_of=tints,
                numbers=range(1, 7),
            )
        )
    for one in run["failures"]:
        where = f"{one['host']}: {name_of(one)}" if one["host"] else one["task"]
        said = "\n".join(f"  {clean(line)}" for line in str(one["message"]).splitlines())
        parts.append(f"{paint(clean(where), 'red', colours)}\n{said}\n  next: {clean(str(one['next']))}\n")
    state = str(run["state"])
    took = between(run["started"], run["ended"], now)
    line = f"run {clean(str(run['id']))} {paint(state, _STATES.get(state, ''), colours)}"
    line += (
        f" after {about(took)}"
        if took is not None and run["ended"]
        else f" for {about(took)}"
        if took is not None
        else ""
    )
    line += ", nothing was changed (--check)" if run["check"] and run["ended"] else ""
    if run["waits_for"] and state == "queued":
        line += f", waits for run {', '.join(run['waits_for'])}"
    parts.append(line + "\n")
    if run["refused"]:
        parts.append(f"  {clean(run['refused']['what'])}\n  next: {clean(run['refused']['next'])}\n")
    elif run["note"]:
        parts.append(f"  {clean(str(run['note']))}\n")
    return "".join(parts)


def _tints(one: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    tints = {"changed": "yellow", "failed": "red", "unreachable": "red"}
    return ["", *(tints.get(key, "") if one[key] else "" for key in keys), ""]


def runs_text(runs: Sequence[Mapping[str, Any]], now: float, width: int) -> str:
    """Return a table of runs."""
    rows = [
        [
            clean(str(run["id"])), str(run["state"]), clean(str(run["playbook"])), clean(str(run["limit"] or "all")),
            clean(str(run["by"])), local(run["created"]), about(between(run["started"], run["ended"], now)) or "-",
            _told(run),
        ]
        for run in runs
    ]  # fmt: skip
    heads = ["ID", "STATE", "PLAYBOOK", "HOSTS", "BY", "ASKED", "TOOK", "WHAT"]
    return table(heads, rows, width, shrink=[7, 3], drop=[5])


def _told(run: Mapping[str, Any]) -> str:
    if run["waits_for"] and run["state"] == "queued":
        return f"waits for run {', '.join(run['waits_for'])}"
    if run["failures"]:
        one = run["failures"][0]
        return clean(f"{one['host']}: {name_of(one)}")
    changed = sum(one["changed"] for one in run["stats"].values())
    return clean(str(run["note"])) if run["note"] else f"{changed} changed" if run["stats"] else ""
