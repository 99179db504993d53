"""From what ansible-runner tells to what we tell. Pure. Texts are bounded; of a ``no_log`` task nothing is told."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from labq.clock import rfc3339
from labq.provision import RunEvent

#: Characters of a message that are told: a screen.
MOST = 2000
#: Characters of what changes, with --diff: a configuration file.
MOST_DIFF = 8000
#: How the preflight names what it asks of a machine.
REQUIREMENT = "Requirement: "
_OUTCOMES = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}
HIDDEN = "(what it said is hidden: the task has no_log)"
#: Tasks by which a play speaks to people.
_SAYS = frozenset({"ansible.builtin.debug", "debug"})


def read_event(body: Mapping[str, Any], *, now: float, diff: bool) -> RunEvent | None:
    """Return our event for one of ansible-runner's; None when it tells people nothing.

    Args:
        body: ansible-runner's event.
        now: seconds since the epoch.
        diff: tell what changes.
    """
    data = body.get("event_data") or {}
    role, task = _short(data.get("role")), _short(data.get("task"))
    if body.get("event") in {"playbook_on_task_start", "playbook_on_handler_task_start"}:
        return RunEvent(now, "task", role=role, task=task)
    outcome = _OUTCOMES.get(str(body.get("event")))
    if outcome is None:
        return None
    result = data.get("res")
    result = result if isinstance(result, dict) else {}
    hidden = "censored" in result or bool(result.get("_ansible_no_log"))
    host, seconds = _short(data.get("host")), round(float(data.get("duration") or 0.0), 2)
    message = ""
    if outcome == "failed" and data.get("ignore_errors"):
        outcome = "ignored"
    elif outcome == "ok" and result.get("changed") is True:
        outcome = "changed"
    if outcome in {"failed", "ignored", "unreachable"}:
        message = HIDDEN if hidden else bounded(failure_text(result), MOST)
    elif diff and not hidden:
        message = bounded(diff_text(result), MOST_DIFF)
    if outcome == "ok" and not hidden and data.get("task_action") in _SAYS and (said := said_text(result)):
        return RunEvent(now, "say", host, role, task, outcome, seconds, bounded(said, MOST))
    kind = "host"
    if role == "preflight" and task.startswith(REQUIREMENT):
        kind, task = "requirement", task.removeprefix(REQUIREMENT)
    return RunEvent(now, kind, host, role, task, outcome, seconds, message)


def event_line(event: RunEvent) -> str:
    """Return the line of an event in the run's log."""
    name = f"{event.role} : {event.task}" if event.role else event.task
    head = (
        f"{rfc3339(event.at)} {event.host or '-'} [{name}] {event.outcome or event.kind} {event.seconds:g}s"
    )
    return f"{head}\n{event.message}\n" if event.message else f"{head}\n"


def failure_text(result: Mapping[str, Any]) -> str:
    """Return what a failed task said: its message, and the end of what its program wrote."""
    items = result.get("results")
    if isinstance(items, list):
        bad = [
            item
            for item in items
            if isinstance(item, dict) and (item.get("failed") or item.get("unreachable"))
        ]
        hidden = any("censored" in item or item.get("_ansible_no_log") for item in bad)
        if bad and not hidden:
            return failure_text(bad[0]) + (f" (and {len(bad) - 1} more items)" if len(bad) > 1 else "")
        if hidden:
            return HIDDEN
    parts = [str(result.get("msg") or "").strip()]
    for key in ("stderr", "module_stderr"):
        if text := str(result.get(key) or "").strip():
            parts.append(text[-MOST // 2 :])
            break
    else:
        if text := str(result.get("stdout") or result.get("module_stdout") or "").strip():
            parts.append(text[-MOST // 4 :])
    return "\n".join(dict.fromkeys(part for part in parts if part)) or "it failed and said nothing"


def said_text(result: Mapping[str, Any]) -> str:
    """Return what a play says to people by a task of debug, on one line; "" = nothing that may be told."""
    items = result.get("results")
    parts = items if isinstance(items, list) else [result]
    found: list[str] = []
    for part in parts:
        if isinstance(part, dict) and "censored" not in part and not part.get("_ansible_no_log"):
            message = part.get("msg")
            found += [str(line) for line in (message if isinstance(message, list) else [message]) if line]
    return "; ".join(line.strip() for line in found)


def diff_text(result: Mapping[str, Any]) -> str:
    """Return what a task changes in files, as a unified diff; "" = nothing that it tells of."""
    found: list[str] = []
    for part in _diffs(result):
        if isinstance(part.get("prepared"), str):
            found.append(part["prepared"].rstrip("\n"))
            continue
        before, after = (_lines(part.get(key)) for key in ("before", "after"))
        if before == after:
            continue
        old, new = (str(part.get(f"{key}_header") or key) for key in ("before", "after"))
        found += difflib.unified_diff(before, after, old, new, lineterm="", n=2)
    return "\n".join(found)


def _diffs(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    items = result.get("results")
    for one in [result, *(items if isinstance(items, list) else [])]:
        if not isinstance(one, dict) or "censored" in one or one.get("_ansible_no_log"):
            continue
        said = one.get("diff")
        found += [part for part in (said if isinstance(said, list) else [said]) if isinstance(part, dict)]
    return found


def _lines(said: Any) -> list[str]:
    if isinstance(said, str):
        return said.splitlines()
    if isinstance(said, dict):
        return [f"{key}: {value}" for key, value in sorted(said.items())]
    return [] if said is None else [str(said)]


def bounded(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, saying what was left out of its middle.

    >>> bounded("abcdefghij" * 10, 40)
    'abcdefghijabcdefghij … ghijabcdefghij'
    """
    # Bytes that are no UTF-8 come from ansible as halves of characters, which can be written nowhere.
    text = text.encode(errors="replace").decode()
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … {text[-(half - 6) :]}"


def _short(said: Any) -> str:
    return bounded(" ".join(str(said or "").split()), 200)
