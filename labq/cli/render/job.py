"""One job as a readable block: `labq show`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from labq.cli.render.jobs import STATE_COLOURS, gpus_text, jobs_table, state_text
from labq.cli.render.moments import about, between, local, waited
from labq.cli.render.reason import reason
from labq.cli.render.text import clean, paint
from labq.units import about_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labq.cli.render.jobs import Job

#: Keys of a spec that the block shows elsewhere, or that say nothing to a person.
_SHOWN_ELSEWHERE = {"name", "gpus", "cpus", "memory", "disk", "image", "context", "command", "note", "tags"}


def job_block(job: Job, now: float, *, colours: bool = False) -> str:
    """Return everything about a job, the most wanted first.

    Args:
        job: the full view.
        now: seconds since the epoch.
        colours: colour the state.
    """
    state = paint(state_text(job), STATE_COLOURS.get(str(job["state"]), ""), colours)
    lines = [f"job {job['id']} ({clean(str(job['name']))}): {state}"]
    lines += [f"  {clean(text)}" for text in (job.get("verdict"), _waiting(job, now)) if text]
    lines += [f"  {key + ':':<12} {value}" for key, value in _facts(job, now) if value]
    lines += _attempts(job)
    lines.append(f"  next:        {_next(job)}")
    return "\n".join(lines) + "\n"


def array_block(array: Mapping[str, Any], now: float, width: int, *, colours: bool = False) -> str:
    """Return an array: how many tasks are in which state, and the tasks."""
    counts = ", ".join(f"{count} {state}" for state, count in array.get("counts", {}).items() if count)
    tasks: Sequence[Job] = array.get("jobs", [])
    head = f"array {array['id']}: {len(tasks)} tasks: {counts or 'none'}\n"
    return head + jobs_table(tasks, now, width, colours=colours)


def _waiting(job: Job, now: float) -> str:
    if job["state"] != "queued" or not job.get("why"):
        return ""
    return reason(str(job["why"]), now)


def _facts(job: Job, now: float) -> Iterator[tuple[str, str]]:
    spec = job.get("spec") or {}
    yield "owner", clean(str(job.get("owner", "")))
    yield "submitted", f"{local(job.get('submitted_at'))}, waited {about(waited(job, now))}"
    if job.get("started_at"):
        ran = about(between(job["started_at"], job.get("ended_at"), now))
        over = f", ended {local(job['ended_at'])}" if job.get("ended_at") else ""
        yield "started", f"{local(job['started_at'])}, ran {ran}{over}"
    yield "not before", local(job["not_before"]) if job.get("not_before") else ""
    yield "node", clean(str(job.get("node") or ""))
    yield "GPUs", _gpus(job)
    yield "CPU, memory", _host(job, spec)
    yield "image", _image(job, spec)
    yield "command", clean(" ".join(_quoted(word) for word in spec.get("command", [])))
    yield "tags", clean(" ".join(job.get("tags") or []))
    yield "note", clean(str(job.get("note") or ""))
    if job.get("array"):
        yield "array", f"task {job['index']} of {job['array']}"
    for key, value in spec.items():
        if key not in _SHOWN_ELSEWHERE and key != "not_before":
            yield key, clean(_value(key, value))
    links = job.get("links") or {}
    if links.get("grafana"):
        yield "Grafana", clean(str(links["grafana"]))
    stop = job.get("stop")
    if stop:
        yield "stopping", f"asked by {clean(str(stop['by']))} ({str(stop['reason']).replace('_', ' ')})"


def _gpus(job: Job) -> str:
    asked = gpus_text(job)
    if asked == "-":
        return ""
    held = ", ".join(str(uuid) for uuid in job.get("gpus") or [])
    simulated = "; simulated: no real GPU is used" if job.get("simulated") else ""
    return f"{asked.removesuffix(' (sim)')}{f' → {held}' if held else ''}{simulated}"


def _host(job: Job, spec: Mapping[str, Any]) -> str:
    cpus = job.get("cpus") or spec.get("cpus")
    memory = about_bytes(job["memory"]) if job.get("memory") else spec.get("memory")
    parts = [
        f"{cpus:g} core{'' if cpus == 1 else 's'}" if isinstance(cpus, float | int) else "",
        str(memory or ""),
        f"{spec['disk']} of disk" if spec.get("disk") else "",
    ]
    return ", ".join(part for part in parts if part)


def _image(job: Job, spec: Mapping[str, Any]) -> str:
    if spec.get("image"):
        return clean(str(spec["image"]))
    if spec.get("context"):
        return f"built from context {str(spec['context'])[:12]} ({clean(str(spec.get('dockerfile', 'Dockerfile')))})"
    return clean(str((job.get("image") or {}).get("ref") or ""))


def _attempts(job: Job) -> list[str]:
    attempts = job.get("attempts") or []
    if len(attempts) < 2 and job.get("ended_at"):
        return []
    return [
        f"  attempt {a['number']}:   on {clean(str(a['node']))}, {local(a['ended_at'])}: {clean(str(a['verdict']))}"
        for a in attempts
    ]


def _next(job: Job) -> str:
    number, state = job["id"], job["state"]
    if state in {"succeeded", "failed", "cancelled"}:
        fetch = f" · labq fetch {number}" if job.get("started_at") or job.get("attempt") else ""
        return f"labq logs {number}{fetch} · labq rerun {number}"
    follow = f"labq logs -f {number}"
    return (
        f"{follow} · labq why {number} · labq cancel {number}"
        if state == "queued"
        else f"{follow} · labq cancel {number}"
    )


def _quoted(word: str) -> str:
    safe = word and all(c.isalnum() or c in "@%_-+=:,./" for c in word)
    return word if safe else "'" + word.replace("'", "'\"'\"'") + "'"


def _value(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        # Values of variables may be private although they are no secrets: names only.
        return ", ".join(sorted(value)) if key == "env" else ", ".join(f"{k}={v}" for k, v in value.items())
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
