"""The rules: which are in force and where each comes from; and what another file would change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from labq.clock import rfc3339
from labq.errors import BadInputError
from labq.gpu_request import GpuRequest, model_matches
from labq.job import Job
from labq.rules.read import LARGEST, Said, read
from labq.units import about_duration
from labq_scheduler.policy.caps import never
from labq_scheduler.policy.fit import constraints_hold
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.rules_of import default_texts, rules_of
from labq_scheduler.policy.shape import Shape
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.submit import check_keys


def show(lab: Lab, *, now: float) -> dict[str, Any]:
    """Return the rules in force as the API shows them."""
    state = lab.rules.state()
    said, lines, defaults = state.said.texts(), state.said.lines(), default_texts()
    rows = [
        {
            "key": key,
            "value": said.get(key, defaults.get(key)),
            "default": defaults.get(key),
            "line": lines.get(key),
        }
        for key in [*defaults, *(key for key in said if key not in defaults)]
    ]
    problem = state.problem
    return {
        "file": str(lab.rules.path or ""),
        "from": state.source,
        "since": rfc3339(state.since),
        "problem": None if problem is None else {"what": problem.what, "next": problem.next},
        "rows": rows,
        "notes": list(notes(lab, state.said, now=now)),
    }


def compare(lab: Lab, body: Any, *, now: float) -> dict[str, Any]:
    """Return what a file would change, against the rules in force; nothing is changed.

    Raises:
        BadInputError: the request, or the file, has mistakes.
    """
    check_keys(body, ("text", "name"))
    text, name = body.get("text"), body.get("name", "rules.toml")
    if not isinstance(text, str) or not isinstance(name, str):
        raise BadInputError("the request has no text of a file", 'send {"text": "[weights]\\nshare = 4\\n"}')
    if len(text) > LARGEST:
        raise BadInputError(f"{name[:100]} is larger than 1 MiB", "rules are a page of TOML")
    then = read(text, name[:200])
    defaults = default_texts()
    before, after = (defaults | said.texts() for said in (lab.rules.state().said, then))
    keys = [*before, *(key for key in after if key not in before)]
    return {
        "changes": [
            {"key": key, "now": before.get(key), "then": after.get(key)}
            for key in keys
            if before.get(key) != after.get(key)
        ],
        "notes": list(notes(lab, then, now=now)),
    }


def notes(lab: Lab, said: Said, *, now: float) -> Iterator[str]:
    """Yield what is legal and perhaps not meant: names that this lab does not know, a bound that is none."""
    rules = rules_of(said)
    people = {person.name: person for person in lab.store.people.all()}
    for key, name in _people(said):
        if name not in people:
            yield f"{key}: nobody here is called {name} (labq user ls)"
    for name, group in rules.groups.items():
        theirs = people[name].group if name in people else ""
        if theirs not in {"", group}:
            yield f"groups.{group}.members: {name}'s account says group {theirs} (labq user set {name} --group {group})"
    nodes = [node for node, _ in lab.board.nodes()]
    for window in rules.windows:
        if not any(constraints_hold(Shape(GpuRequest(), nodes=window.nodes), node) for node in nodes):
            yield f"reservation.{window.name}: no node satisfies {' '.join(window.nodes) or 'it'} (labq nodes)"
        if window.until <= now:
            yield f"reservation.{window.name}: it has been over for {about_duration(now - window.until)}"
    models = {gpu.model for node in nodes for gpu in node.gpus}
    for card in rules.cards:
        if not any(model_matches(card, model) for model in models):
            yield f"cards.{card}: no card of this lab is called so (labq nodes)"
    yield from _bound(rules, lab.site.max_time, now)
    if lab.board.loaded:
        yield from _shut_out(rules, [job for row in lab.board.snapshot(now).queue.jobs for job in row])


def _bound(rules: Rules, max_time: float | None, now: float) -> Iterator[str]:
    if rules.bound is None:
        return
    ahead = sorted(window.name for window in rules.windows if window.until > now)
    if ahead:
        yield (
            f"wait.bound: until the reservation {', '.join(ahead)} is over no job is told when it starts at the latest: "
            "it may be kept from its nodes"
        )
    if max_time is None:
        yield (
            "wait.bound: without LABQ_MAX_TIME a job may run for ever, and nobody can promise when the next starts; "
            "set LABQ_MAX_TIME, or take it as an aim"
        )


def _shut_out(rules: Rules, waiting: Sequence[Job]) -> Iterator[str]:
    """Yield which jobs that wait a cap would never let start: who submitted them before it was not told."""
    asked = ((job, 0.0 if job.spec.gpus.share else float(job.spec.gpus.count)) for job in waiting)
    found = [(job, why) for job, gpus in asked if (why := never(rules, job.owner, gpus)) is not None]
    if found:
        job, why = found[0]
        many = "1 job that waits" if len(found) == 1 else f"{len(found)} jobs that wait"
        yield f"caps: {many} could never start, as job {job.id}: {why}"


def _people(said: Said) -> Iterator[tuple[str, str]]:
    """Yield each person that is named, and where."""
    full = said.lines()
    for key, (path, entry) in zip(full, said.entries.items(), strict=True):
        match path:
            case ("shares", name):
                yield key, str(name)
            case ("caps", "person", name, _):
                yield key, str(name)
            case (*_, "members" | "for") | ("classes", _):
                yield from ((key, who) for who in entry.value if not who.startswith("@"))
