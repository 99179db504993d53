"""Readers of single values of a spec: text in, typed value out, or an error that quotes the text.

Pure. Each reader takes what JSON or TOML can hold and is idempotent on its own output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labq.clock import rfc3339
from labq.errors import BadInputError, closest
from labq.ids import check_job_id
from labq.units import format_duration, parse_bytes, parse_duration

_IMAGE = re.compile(
    r"^[a-z0-9]+([._-]+[a-z0-9]+)*(:\d+)?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?\Z"
)
_ENV_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,255}\Z")
_TAG = re.compile(r"^[\w.:=/-]{1,63}\Z")
_CONSTRAINT = re.compile(r"^!?[A-Za-z0-9][\w.-]{0,62}\Z|^[A-Za-z][\w.-]{0,62}!?=[\w./-]{1,63}\Z")
_MOMENT = re.compile(
    r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(:\d\d(\.\d{1,6})?)?)(Z|[+-]\d\d:?\d\d)\Z", re.IGNORECASE
)
#: Seconds: who waits for a GPU waits so long at most for a checkpoint.
LONGEST_GRACE = 3600.0
#: 2200-01-01 in seconds since the epoch: a later start is a slip of the finger.
LAST_MOMENT = 7_258_118_400
#: Every decision looks at them, for each node or each job: a list of thousands, made by a program gone mad, would stop the lab.
MOST_CONSTRAINTS, MOST_DEPENDENCIES = 256, 1000
#: Docker starts no container with less.
LEAST_MEMORY = 6 * 2**20
#: Bytes; with less no container could write its first log line.
LEAST_DISK = 2**20
#: The kernel takes no longer argument or variable (MAX_ARG_STRLEN), its name included.
LONGEST_WORD = 2**17 - 512
#: Variables that labq itself sets.
RESERVED_ENV = ("LABQ_", "NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class Mount:
    """A directory of the node, seen in the container."""

    source: str
    target: str
    writable: bool = False

    def __str__(self) -> str:
        """Return the text that :func:`mounts` reads back."""
        return f"{self.source}:{self.target}:{'rw' if self.writable else 'ro'}"


@dataclass(frozen=True, slots=True)
class Dependency:
    """A job that must end first."""

    job: str
    #: False: it must succeed; True: however it ends
    any_end: bool = False

    def __str__(self) -> str:
        """Return the text that :func:`dependencies` reads back."""
        return f"any:{self.job}" if self.any_end else self.job


def text(raw: Any, what: str) -> str:
    """Return ``raw`` when it is text without NUL."""
    if not isinstance(raw, str) or "\0" in raw:
        raise BadInputError(f"{what} {raw!r} is not text")
    return raw


def items(raw: Any, what: str) -> list[str]:
    """Return a list of texts; a single text is a list of one."""
    found = [raw] if isinstance(raw, str | int) and not isinstance(raw, bool) else raw
    if not isinstance(found, list | tuple):
        raise BadInputError(f"{what} {raw!r} is not a list")
    return [
        str(item) if isinstance(item, int) and not isinstance(item, bool) else text(item, what)
        for item in found
    ]


def _at_most(most: int, found: list[str], what: str, instead: str) -> list[str]:
    if len(found) > most:
        raise BadInputError(f"{len(found)} {what} are too many", f"write at most {most}; {instead}")
    return found


def whole(raw: Any, low: int, high: int, what: str) -> int:
    """Return a whole number from ``low`` to ``high``."""
    number = int(raw) if isinstance(raw, str) and re.fullmatch(r"\d{1,12}", raw) else raw
    if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
        raise BadInputError(f"{what} {raw!r} is not a whole number from {low} to {high}")
    return number


def cpus(raw: Any) -> float:
    """Return a number of cores, 0.01 to 4096, rounded to a hundredth."""
    try:
        legal = not isinstance(raw, bool) and str(raw).isascii()
        number = float(raw) if legal else float("nan")
    except (TypeError, ValueError):
        number = float("nan")
    if not 0.01 <= number <= 4096:
        raise BadInputError(f"cpus {raw!r} is not a number of cores from 0.01 to 4096")
    return round(number, 2)


def memory(raw: Any) -> int:
    """Return a container's main memory in bytes, at least what Docker starts one with."""
    return _at_least(raw, "memory", LEAST_MEMORY, "write at least 6MB")


def disk(raw: Any) -> int:
    """Return the bytes of disk that a job writes, at least :data:`LEAST_DISK`."""
    return _at_least(raw, "disk", LEAST_DISK, "write at least 1MB, or leave it out")


def _at_least(raw: Any, name: str, least: int, legal: str) -> int:
    value = parse_bytes(raw, name)
    if value < least:
        hint = f"did you mean {raw}GB? " if str(raw).isdigit() else ""
        raise BadInputError(f"{name} {raw!r} is too little", f"{hint}{legal}")
    return value


def flag(raw: Any) -> bool:
    """Return true or false."""
    if not isinstance(raw, bool):
        raise BadInputError(f"{raw!r} is neither true nor false")
    return raw


def choice(raw: Any, legal: tuple[str, ...], what: str) -> str:
    """Return ``raw`` when it is one of ``legal``."""
    if raw not in legal:
        near = closest(str(raw), list(legal))
        hint = f"did you mean {near}? " if near else ""
        raise BadInputError(f"{what} {raw!r} is not known", f"{hint}legal: {', '.join(legal)}")
    return str(raw)


def grace(raw: Any) -> float:
    """Return a grace of up to one hour, in seconds."""
    seconds = parse_duration(raw, "grace")
    if seconds > LONGEST_GRACE:
        raise BadInputError(f"grace {raw!r} is longer than {format_duration(LONGEST_GRACE)}")
    return seconds


def image_ref(raw: Any) -> str:
    """Return an image reference."""
    ref = text(raw, "image")
    if not _IMAGE.match(ref) or len(ref) > 512:
        raise BadInputError(
            f"{ref!r} is not an image reference",
            "write name[:tag], host/name[:tag] or name@sha256:…",
        )
    return ref


def context_digest(raw: Any) -> str:
    """Return a SHA-256 in hex."""
    if not isinstance(raw, str) or not re.fullmatch(r"[0-9a-f]{64}", raw):
        raise BadInputError(f"context {raw!r} is not a SHA-256 in hex")
    return raw


def relative_path(raw: Any) -> str:
    """Return a path inside the build context."""
    path = text(raw, "path")
    while path.startswith("./"):
        path = path[2:]
    if not path or path.startswith("/") or ".." in path.split("/") or len(path) > 4096:
        raise BadInputError(f"path {raw!r} does not stay inside the directory")
    return path


def absolute_path(raw: Any) -> str:
    """Return an absolute path without ``..``."""
    path = text(raw, "path")
    if not path.startswith("/") or ".." in path.split("/") or ":" in path or len(path) > 4096:
        raise BadInputError(f"path {raw!r} is not an absolute path without '..' and ':'")
    return path


def string_map(raw: Any) -> dict[str, str]:
    """Return names and values from a table or a list of ``NAME=VALUE``."""
    if isinstance(raw, Mapping):
        pairs: Iterable[tuple[Any, Any]] = raw.items()
    else:
        pairs = [
            (name, value if eq else None)
            for name, eq, value in (i.partition("=") for i in items(raw, "variable"))
        ]
    out: dict[str, str] = {}
    for name, value in pairs:
        if not isinstance(name, str) or not _ENV_NAME.match(name):
            raise BadInputError(f"variable name {name!r} is not legal", "use letters, digits and _")
        if name.startswith(RESERVED_ENV):
            raise BadInputError(f"variable {name!r} is set by labq itself", "choose another name")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise BadInputError(f"variable {name!r} has no value", f"write {name}=VALUE")
        out[name] = text(str(value), f"variable {name}")
        if len(out[name].encode(errors="surrogateescape")) > LONGEST_WORD - len(name):
            raise BadInputError(
                f"variable {name!r} is longer than 127 KiB", "put it into a file of the image"
            )
    return out


def names(raw: Any) -> tuple[str, ...]:
    """Return names of variables, each once."""
    found = items(raw, "secret")
    for name in found:
        if not _ENV_NAME.match(name) or name.startswith(RESERVED_ENV):
            # Never quote it: it may be the secret itself.
            raise BadInputError(
                "a secret is named by a variable's name",
                "write --secret NAME, the value stays out",
            )
    return tuple(dict.fromkeys(found))


def command(raw: Any) -> tuple[str, ...]:
    """Return a command; a single text is split as a shell splits words."""
    if isinstance(raw, str):
        from shlex import split

        try:
            words = split(text(raw, "command"))
        except ValueError as error:
            raise BadInputError(f"command {raw!r}: {error}", "close the quotation") from None
    else:
        words = items(raw, "command")
    if sum(len(word) + 1 for word in words) > 2**17:
        raise BadInputError("the command is longer than 128 KiB", "put it into a file of the image")
    return tuple(words)


def entrypoint(raw: Any) -> tuple[str, ...]:
    """Return an entrypoint; an empty list removes the image's own."""
    return command(raw)


def mounts(raw: Any) -> tuple[Mount, ...]:
    """Return mounts from texts ``/host:/container[:ro|:rw]``."""
    found = []
    for item in items(raw, "mount"):
        parts = item.split(":")
        if len(parts) not in {2, 3} or (len(parts) == 3 and parts[2] not in {"ro", "rw"}):
            raise BadInputError(f"mount {item!r} is not legal", "write /host/path:/container/path[:ro|:rw]")
        source, target = absolute_path(parts[0]), absolute_path(parts[1])
        if target == "/" or target.startswith(("/outputs", "/proc", "/sys", "/dev", "/run/secrets")):
            raise BadInputError(f"mount {item!r}: {target} is taken", "choose another place in the container")
        found.append(Mount(source, target, parts[2:] == ["rw"]))
    return tuple(found)


def dependencies(raw: Any) -> tuple[Dependency, ...]:
    """Return dependencies from texts ``1042`` or ``any:1042``."""
    found = []
    for item in _at_most(
        MOST_DEPENDENCIES, items(raw, "dependency"), "jobs to wait for", "wait for an array by its id"
    ):
        any_end = item.startswith("any:")
        found.append(Dependency(check_job_id(item.removeprefix("any:")), any_end))
    return tuple(dict.fromkeys(found))


def moment(raw: Any) -> float:
    """Return seconds since the epoch from RFC 3339 with a zone, or from a datetime of TOML."""
    from datetime import datetime

    said = raw.isoformat() if isinstance(raw, datetime) else text(raw, "time")
    if not _MOMENT.match(said):
        raise BadInputError(
            f"time {said!r} is not a moment",
            "write it with its zone: 2026-12-01T22:00:00+09:00, or --not-before 2h",
        )
    try:
        at = round(datetime.fromisoformat(said.replace("z", "Z")).timestamp(), 3)
    except (ValueError, OverflowError) as error:
        raise BadInputError(f"time {said!r}: {error}", "write an existing date") from None
    if not 0 < at < LAST_MOMENT:
        raise BadInputError(f"time {said!r} is out of range", "write a date from 1970 to 2199")
    return at


def write_moment(at: float) -> str:
    """Return the text that :func:`moment` reads back (to a millisecond)."""
    return rfc3339(at)


def constraints(raw: Any) -> tuple[str, ...]:
    """Return node constraints."""
    found = items(raw, "node constraint")
    _at_most(MOST_CONSTRAINTS, found, "node constraints", "a label says the same of many nodes: rack=a")
    for item in found:
        if not _CONSTRAINT.match(item):
            raise BadInputError(f"node constraint {item!r} is not legal", "write n1, !n2, rack=a or rack!=b")
    return tuple(dict.fromkeys(found))


def job_name(raw: Any) -> str:
    """Return a name of 1 to 63 word characters of any script, dots and hyphens."""
    name = text(raw, "name").strip()
    if not re.fullmatch(r"[\w][\w .+-]{0,62}", name):
        raise BadInputError(
            f"name {raw!r} is not legal",
            "use 1 to 63 letters, digits, space . _ + -, starting with a letter or digit",
        )
    return name


def tags(raw: Any) -> tuple[str, ...]:
    """Return tags, each once."""
    found = items(raw, "tag")
    for tag in found:
        if not _TAG.match(tag):
            raise BadInputError(f"tag {tag!r} is not legal", "use 1 to 63 letters, digits and . _ : = / -")
    return tuple(dict.fromkeys(found))


def note(raw: Any) -> str:
    """Return a note of at most 4,000 characters."""
    found = text(raw, "note")
    if len(found) > 4000:
        raise BadInputError(f"the note has {len(found)} characters", "at most 4,000")
    return found
