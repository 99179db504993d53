"""What a person asks for: one typed spec, used by the command line, labq.toml, the API and the agent.

Lives here: ``JobSpec`` and ``FIELDS``, the one table of its keys (flags, labq.toml, JSON schema and the
reference page are made from it). Strict: an unknown key or an illegal value is refused with the
closest legal one. Must not live here: I/O, defaults that depend on a node (see limits.py).

The wire form (``to_wire``/``from_wire``) is a JSON object with the keys of ``FIELDS`` in the texts that
people write (``"memory": "16GB"``); what equals the default is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from labq import spec_values as values
from labq.errors import BadInputError, closest
from labq.gpu_request import GpuRequest, parse_gpus
from labq.spec_values import Dependency, Mount
from labq.units import format_bytes, format_duration, parse_bytes, parse_duration

#: Priority classes, best first. Inside one, order of arrival.
PRIORITIES = ("urgent", "high", "normal", "low")
DEFAULT_GRACE = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One job as it was asked for. Its repr hides the environment: people paste logs."""

    #: image reference to pull or find on the node; None when it is built from a context
    image: str | None = None
    #: SHA-256 of the uploaded build context; None when an image is named
    context: str | None = None
    #: path of the Dockerfile inside the context
    dockerfile: str = "Dockerfile"
    build_args: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: empty = the image's own command
    command: tuple[str, ...] = ()
    #: None = the image's own; () = none
    entrypoint: tuple[str, ...] | None = None
    #: None = the image's own
    workdir: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: names only; the values travel and are kept apart from the spec
    secrets: tuple[str, ...] = ()
    gpus: GpuRequest = field(default_factory=GpuRequest)
    #: cores; None = a fair part of the node (limits.py)
    cpus: float | None = None
    #: bytes; None = a fair part of the node (limits.py)
    memory: int | None = None
    #: bytes that it writes on the node's disk; None = not said, and not counted
    disk: int | None = None
    #: bytes of /dev/shm; None = half of the memory
    shm: int | None = None
    #: seconds of running after which it is stopped; None = the site's maximum, or none
    time: float | None = None
    #: seconds between SIGTERM and SIGKILL
    grace: float = DEFAULT_GRACE
    mounts: tuple[Mount, ...] = ()
    priority: str = "normal"
    after: tuple[Dependency, ...] = ()
    #: seconds since the epoch; 0 = at once
    not_before: float = 0.0
    #: how often a failed run is tried again
    retries: int = 0
    preemptible: bool = False
    interactive: bool = False
    #: node constraints, all must hold: "n1", "!n2", "rack=a", "rack!=b"
    nodes: tuple[str, ...] = ()
    #: also the container's and the output folder's name part
    name: str = "job"
    tags: tuple[str, ...] = ()
    note: str = ""
    #: 0 = made from the job's id; a rerun keeps it
    seed: int = 0

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form; keys that equal the default are left out."""
        out: dict[str, Any] = {}
        for row in FIELDS:
            value = getattr(self, row.name)
            if value != row.default:
                out[row.name] = row.write(value)
        return out

    @staticmethod
    def from_wire(body: Mapping[str, Any], source: str = "the request") -> JobSpec:
        """Return the spec that ``body`` says.

        Args:
            body: keys of ``FIELDS`` to the values that people write.
            source: where it stands, for error messages (``labq.toml``, ``the request``).

        Raises:
            BadInputError: an unknown key, an illegal value, or values that exclude each other.
        """
        if not isinstance(body, Mapping):
            raise BadInputError(f"{source}: a job is an object, not {body!r}", "see docs/reference/spec.md")
        parsed: dict[str, Any] = {}
        for key, raw in body.items():
            row = BY_NAME.get(key)
            if row is None:
                near = closest(key, list(BY_NAME))
                hint = f"did you mean {near!r}? " if near else ""
                raise BadInputError(
                    f"{source}: unknown key {key!r}",
                    f"{hint}legal keys: {', '.join(sorted(BY_NAME))}",
                )
            try:
                parsed[key] = row.read(raw)
            except BadInputError as error:
                raise BadInputError(f"{source}: {key}: {error.what}", error.next or row.form) from None
        spec = JobSpec(**parsed)
        _check_together(spec, source)
        return spec


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a spec: how it is read, printed and explained."""

    name: str
    #: value of any JSON or TOML type -> typed value; raises BadInputError
    read: Callable[[Any], Any]
    #: typed value -> JSON value
    write: Callable[[Any], Any]
    #: JSON schema type of the written form
    json_type: str
    #: the legal form, in a few words, with an example
    form: str
    help: str
    #: filled from JobSpec
    default: Any = None


def _check_together(spec: JobSpec, source: str) -> None:
    if spec.image and spec.context:
        raise BadInputError(
            f"{source}: both an image ({spec.image!r}) and a directory to build",
            "name one: `labq submit .` builds, `labq submit --image REF` does not",
        )
    if not spec.image and not spec.context:
        raise BadInputError(
            f"{source}: neither an image nor a build context", "add --image REF or a directory"
        )
    if spec.image and (spec.build_args or spec.dockerfile != "Dockerfile"):
        raise BadInputError(f"{source}: dockerfile and build_args need a directory to build", "drop them")
    targets = [mount.target for mount in spec.mounts]
    for target in targets:
        if targets.count(target) > 1:
            raise BadInputError(f"{source}: two mounts at {target!r}", "give each mount its own place")
    both = set(spec.env) & set(spec.secrets)
    if both:
        raise BadInputError(f"{source}: {min(both)!r} is both env and secret", "keep it in one of them")


def _same(value: Any) -> Any:
    return value


_ROWS: tuple[Field, ...] = (
    Field("image", values.image_ref, _same, "string", "an image reference, such as pytorch/pytorch:2.4.0",
          "Run this image instead of building one."),
    Field("context", values.context_digest, _same, "string", "64 hex digits", "Digest of the uploaded build context."),
    Field("dockerfile", values.relative_path, _same, "string", "a path inside the directory", "Dockerfile to build."),
    Field("build_args", values.string_map, dict, "object", "NAME=VALUE", "Build argument for the Dockerfile."),
    Field("command", values.command, list, "array", "a list of words", "Command to run instead of the image's own."),
    Field("entrypoint", values.entrypoint, list, "array", "a list of words", "Entrypoint instead of the image's own."),
    Field("workdir", values.absolute_path, _same, "string", "an absolute path", "Working directory in the container."),
    Field("env", values.string_map, dict, "object", "NAME=VALUE", "Environment variable."),
    Field("secrets", values.names, list, "array", "a variable's name",
          "Secret: its value is taken from your environment and appears as the file /run/secrets/NAME."),
    Field("gpus", parse_gpus, str, "string", "2, a100:2, 24GB+, 'a100|h100:4', share:8GB", "GPUs on one node."),
    Field("cpus", values.cpus, _same, "number", "a number of cores, such as 4 or 0.5", "CPU cores."),
    Field("memory", values.memory, format_bytes, "string", "a size, such as 16GB", "Main memory."),
    Field("disk", values.disk, format_bytes, "string", "a size, such as 50GB",
          "What the job writes on the node's disk: its container and /outputs together. Without it nothing is counted."),
    Field("shm", lambda v: parse_bytes(v, "shm"), format_bytes, "string", "a size, such as 8GB", "Size of /dev/shm."),
    Field("time", lambda v: parse_duration(v, "time limit"), format_duration, "string", "a duration, such as 2h30m",
          "Time limit of one run: then SIGTERM, grace, SIGKILL."),
    Field("grace", values.grace, format_duration, "string", "a duration up to 1h, such as 30s",
          "Time between SIGTERM and SIGKILL."),
    Field("mounts", values.mounts, lambda v: [str(m) for m in v], "array", "/host/path:/container/path[:ro|:rw]",
          "Directory of the node to mount (ro unless :rw); the site allows which."),
    Field("priority", lambda v: values.choice(v, PRIORITIES, "priority"), _same, "string", ", ".join(PRIORITIES),
          "Priority class: a better one goes before all that are worse. The rules of a lab may keep some for some people."),
    Field("after", values.dependencies, lambda v: [str(d) for d in v], "array", "1042, or any:1042",
          "Start only when that job succeeded (any: ended)."),
    Field("not_before", values.moment, values.write_moment, "string", "2026-12-01T22:00:00Z (flags also take 2h)",
          "Earliest start."),
    Field("retries", lambda v: values.whole(v, 0, 100, "retries"), _same, "integer", "0 to 100",
          "How often a failed run is tried again."),
    Field("preemptible", values.flag, _same, "boolean", "true or false",
          "May be stopped (SIGTERM, grace) and queued again for somebody more urgent."),
    Field("interactive", values.flag, _same, "boolean", "true or false",
          "A person works in it (a notebook): it is not ended for being idle."),
    Field("nodes", values.constraints, list, "array", "n1, !n2, rack=a, rack!=b", "Constraint on nodes; all must hold."),
    Field("name", values.job_name, _same, "string", "1 to 63 letters of any script, digits, . _ -", "Name of the job."),
    Field("tags", values.tags, list, "array", "1 to 63 letters, digits, . _ : = / -", "Tag to find jobs by."),
    Field("note", values.note, _same, "string", "up to 4,000 characters", "Free text."),
    Field("seed", lambda v: values.whole(v, 0, 2**31 - 1, "seed"), _same, "integer", "0 to 2147483647",
          "LABQ_SEED for the job; 0 = made from its id."),
)  # fmt: skip


def _with_defaults(rows: tuple[Field, ...]) -> tuple[Field, ...]:
    from dataclasses import MISSING, replace

    defaults: dict[str, Any] = {}
    for item in fields(JobSpec):
        factory = item.default_factory
        defaults[item.name] = item.default if factory is MISSING else factory()
    return tuple(replace(row, default=defaults[row.name]) for row in rows)


#: Every key of a spec, in the order in which help and docs show them.
FIELDS: tuple[Field, ...] = _with_defaults(_ROWS)
BY_NAME: dict[str, Field] = {row.name: row for row in FIELDS}


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of the wire form."""
    properties: dict[str, Any] = {}
    for row in FIELDS:
        entry: dict[str, Any] = {
            "type": row.json_type,
            "description": f"{row.help} Form: {row.form}.",
        }
        if row.json_type == "array":
            entry["items"] = {"type": "string"}
        if row.json_type == "object":
            entry["additionalProperties"] = {"type": "string"}
        properties[row.name] = entry
    return {"type": "object", "additionalProperties": False, "properties": properties}
