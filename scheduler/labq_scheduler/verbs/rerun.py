"""Rerun: a new job with the spec and the seed of an old one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from labq.errors import BadInputError, NotFoundError
from labq.ids import default_seed, parse_array
from labq.spec import JobSpec
from labq.store import Person
from labq_scheduler.verbs.lab import Lab, Site
from labq_scheduler.verbs.show import find_all, require_owner
from labq_scheduler.verbs.submit import Request, check_keys, check_secrets, within_site

LEGAL_KEYS = ("changes", "secrets", "array")


def rerun(lab: Lab, person: Person, job_id: str, body: Any) -> Request:
    """Return the request that makes the job again; submit it.

    Raises:
        NotAllowedError: the job is another's: its variables are not yours to use.
        NotFoundError: its build context is no longer kept.
        BadInputError: changes that are not legal, or secrets without values.
    """
    check_keys(body, LEGAL_KEYS)
    is_array, jobs = find_all(lab, job_id)
    for job in jobs:
        require_owner(job, person, "run it again")
    indices = [job.index or 0 for job in jobs] if is_array else None
    if body.get("array") is not None:
        indices = parse_array(body["array"])
    spec, warnings = respecify(jobs[0].spec, body.get("changes"), lab.site)
    if not spec.seed and is_array:
        warnings += ("its tasks get new seeds (LABQ_SEED); a seed in the spec would have been kept",)
    elif not spec.seed:
        spec = replace(spec, seed=default_seed(job_id))
    if spec.context and not lab.contexts.has(spec.context):
        raise NotFoundError(
            f"the build context of job {job_id} is no longer kept",
            "submit the directory again: labq submit DIR",
        )
    return Request(spec, indices, check_secrets(spec, body.get("secrets")), warnings)


def respecify(old: JobSpec, changes: Any, site: Site) -> tuple[JobSpec, tuple[str, ...]]:
    """Return the old spec with changes (a key with null goes back to its default), and warnings. Pure.

    What the old job waited for is over: dependencies and an earliest start are left out unless changed.
    """
    if changes is not None and not isinstance(changes, Mapping):
        raise BadInputError("changes is not an object", 'send {"changes": {"gpus": "2"}}')
    wire = old.to_wire()
    warnings = []
    for key, text in (
        ("after", "it does not wait for other jobs again"),
        ("not_before", "it may start at once"),
    ):
        if wire.pop(key, None) is not None and key not in (changes or {}):
            warnings.append(text)
    for key, value in (changes or {}).items():
        if value is None and key in wire:
            del wire[key]
        else:
            wire[key] = value
    return within_site(JobSpec.from_wire(wire, "changes"), site), tuple(warnings)
