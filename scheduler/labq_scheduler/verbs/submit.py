"""Submit: from a request's body to queued jobs.

Lives here: what the site and the lab's hardware allow, and the new record.
Must not live here: the grammar of a spec (labq/spec.py), the write (the store's submit).
"""

from __future__ import annotations

import os.path
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from labq.errors import BadInputError, ImpossibleError, NotAllowedError, closest
from labq.ids import parse_array
from labq.image import image_key
from labq.job import Job
from labq.node import Node
from labq.spec import JobSpec
from labq.states import JobState
from labq.store import Person
from labq.units import about_duration
from labq_scheduler.policy.caps import never
from labq_scheduler.policy.fit import nearest_fit
from labq_scheduler.policy.rules import Rules
from labq_scheduler.verbs.lab import Lab, Site

LEGAL_KEYS = ("spec", "array", "secrets")
#: A file under /run/secrets has a person's key in it, not a data set.
MAX_SECRET = 64 * 1024
_NO_NODES = "no node has registered yet: the job waits until one does (labq nodes)"


@dataclass(frozen=True, slots=True)
class Request:
    """A checked request: what would be made."""

    spec: JobSpec
    #: None for a single job
    indices: Sequence[int] | None
    secrets: Mapping[str, str]
    warnings: tuple[str, ...]


def parse(body: Any, site: Site, *, asking: bool = False) -> Request:
    """Return the request that ``body`` says, within the site's limits. Pure.

    Args:
        body: JSON.
        site: what the site allows.
        asking: nothing will be made of it, so secrets need no values.

    Raises:
        BadInputError: quoting what is not legal; never the value of a secret.
    """
    check_keys(body, LEGAL_KEYS)
    if "spec" not in body:
        raise BadInputError("the request has no spec", 'send {"spec": {"image": "…", "command": […]}}')
    asked = JobSpec.from_wire(body["spec"])
    spec = within_site(asked, site)
    indices = None if body.get("array") is None else parse_array(body["array"])
    given = body.get("secrets")
    values = {} if asking and not given else check_secrets(spec, given)
    return Request(spec, indices, values, _of_its_end(asked, spec))


def submit(
    lab: Lab, person: Person, request: Request, *, now: float, key: str = ""
) -> tuple[bool, dict[str, Any]]:
    """Make the jobs.

    Args:
        lab: the parts.
        person: whose jobs they will be: whoever the token says, whatever the body says.
        request: of :func:`parse`.
        now: seconds since the epoch.
        key: idempotency key; a second request with it makes nothing.

    Returns:
        Whether they are new, and the answer's body.
    """
    spec = request.spec
    check_rules(spec, person, lab.rules())
    if spec.context:
        lab.contexts.use(spec.context, spec.dockerfile)
    warnings = [*request.warnings, *check_possible(spec, [node for node, _ in lab.board.nodes()])]
    job = Job(
        id="",
        owner=person.name,
        uid=person.uid,
        gid=person.gid,
        spec=spec,
        state=JobState.QUEUED,
        submitted_at=now,
        seq=0,
        image_key=image_key(spec),
        not_before=spec.not_before,
    )
    made = lab.store.jobs.submit(
        job,
        recorded=_recorded(lab, spec),
        indices=request.indices,
        now=now,
        idempotency_key=key,
        secrets=request.secrets or None,
        max_queued=lab.site.max_queued,
    )
    states = {}
    if made.again:
        states = {job.id: str(job.state) for job in lab.store.jobs.get_many(made.jobs)}
    jobs = [{"id": job_id, "state": states.get(job_id, "queued")} for job_id in made.jobs]
    body: dict[str, Any] = {
        "id": made.id,
        "state": jobs[0]["state"] if len({row["state"] for row in jobs}) == 1 else "queued",
        "name": spec.name,
        "owner": person.name,
        "warnings": warnings,
    }
    if request.indices is not None:
        body["jobs"] = jobs
    return not made.again, body


def within_site(spec: JobSpec, site: Site) -> JobSpec:
    """Return the spec with the site's time limit, if it names none.

    Raises:
        BadInputError: its time limit or a mount is not allowed here.
    """
    if site.max_time is not None and spec.time is not None and spec.time > site.max_time:
        most = about_duration(site.max_time)
        raise BadInputError(
            f"time limit {about_duration(spec.time)} is longer than this lab allows",
            f"ask for at most {most}; let it write checkpoints and submit it again when it has ended",
        )
    spec = replace(spec, time=spec.time or _usual_time(spec, site))
    for mount in spec.mounts:
        _check_mount(mount.source, mount.writable, site)
    return spec


def _usual_time(spec: JobSpec, site: Site) -> float | None:
    """Return the time limit of a job that names none. A notebook is never ended for being idle, so it ends some time."""
    limits = (site.max_time, site.interactive_time if spec.interactive else None)
    return min((limit for limit in limits if limit is not None), default=None)


def _of_its_end(asked: JobSpec, spec: JobSpec) -> tuple[str, ...]:
    """Return what somebody who asked for no end of an interactive job should know of it."""
    if not spec.interactive or asked.time is not None or spec.time is None:
        return ()
    return (
        f"it is interactive and names no time limit: it is ended after {about_duration(spec.time)} (--time)",
    )


def check_rules(spec: JobSpec, person: Person, rules: Rules) -> None:
    """Do nothing when the lab's rules let this person's job start some time.

    Raises:
        NotAllowedError: the priority class is for others.
        BadInputError: it asks for more than a person, or their group, may hold at once.
    """
    if not person.admin and not rules.may_use(person.name, spec.priority):
        who = ", ".join((*rules.classes[spec.priority], "admins"))
        raise NotAllowedError(
            f"priority {spec.priority} is not for {person.name}: the lab's rules keep it for {who}",
            "submit it without --priority, or ask an admin: labq admin rules show",
        )
    # A share of a card is less than one; how much is known where it is placed.
    gpus = 0.0 if spec.gpus.share else float(spec.gpus.count)
    if (why := never(rules, person.name, gpus)) is not None:
        raise BadInputError(
            f"it asks for {spec.gpus.count} GPUs, and {why}", "ask for less: labq admin rules show"
        )


def check_possible(spec: JobSpec, nodes: Sequence[Node]) -> list[str]:
    """Return warnings.

    Raises:
        ImpossibleError: no registered node could ever run the job; says the nearest that would work.
    """
    if not nodes:
        return [_NO_NODES]
    why = nearest_fit(spec, nodes)
    if why is not None:
        raise ImpossibleError(
            f"no node of this lab can ever run it: {why}", "labq nodes shows what there is; ask for less"
        )
    return []


def _recorded(lab: Lab, spec: JobSpec) -> Collection[str]:
    """Return which of the jobs that it is to wait for only the records know."""
    store = lab.store.jobs
    wanted = [after.job for after in spec.after]
    absent = [job_id for job_id in wanted if not store.get_many([job_id]) and not store.array(job_id)]
    return lab.history.states(absent) if absent else ()


def check_secrets(spec: JobSpec, given: Any) -> dict[str, str]:
    """Return the values of the spec's secrets.

    Raises:
        BadInputError: a value is missing, too many, or no text. Values are never quoted.
    """
    values = {} if given is None else given
    if not isinstance(values, Mapping):
        raise BadInputError("secrets is no object", 'send {"secrets": {"NAME": "value"}}')
    missing = [name for name in spec.secrets if name not in values]
    if missing:
        raise BadInputError(
            f"secret {missing[0]!r} has no value", f"set {missing[0]} in your environment and submit again"
        )
    if extra := [name for name in values if name not in spec.secrets]:
        raise BadInputError(
            f"secrets has {len(extra)} value{'s' if len(extra) > 1 else ''} that the spec does not name",
            "name each in spec.secrets; legal here: " + (", ".join(spec.secrets) or "none"),
        )
    for name, value in values.items():
        if not isinstance(value, str) or "\0" in value or len(value) > MAX_SECRET:
            raise BadInputError(f"the value of secret {name!r} is not text of at most 64 KiB")
    return dict(values)


def check_keys(body: Any, legal: Sequence[str]) -> None:
    """Do nothing when ``body`` is an object with legal keys only.

    Raises:
        BadInputError: naming the first illegal key and the nearest legal one.
    """
    if not isinstance(body, dict):
        raise BadInputError("the body is not a JSON object", f"send an object with {', '.join(legal)}")
    for name in body:
        if name not in legal:
            near = closest(str(name), list(legal))
            hint = f"did you mean {near!r}? " if near else ""
            if name in {"owner", "uid", "gid", "user"}:
                hint = "the owner is who your token says. "
            raise BadInputError(
                f"the request: unknown key {str(name)[:100]!r}", f"{hint}legal keys: {', '.join(legal)}"
            )


def _check_mount(source: str, writable: bool, site: Site) -> None:
    path = os.path.normpath(source)
    legal = ", ".join(f"{m.path}:{'rw' if m.writable else 'ro'}" for m in site.mounts) or "none"
    found = [m for m in site.mounts if path == m.path or path.startswith(m.path.rstrip("/") + "/")]
    if not found:
        raise BadInputError(
            f"mount {source!r} is not allowed by this site",
            f"legal: {legal}; ask an admin to add it to LABQ_MOUNTS",
        )
    if writable and not any(m.writable for m in found):
        raise BadInputError(f"mount {source!r} may only be read", f"write {source}:…:ro; legal: {legal}")
