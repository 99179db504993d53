"""What the queue leases on this node, in a file: the agent writes it, the exporter reads it.

So the exporter needs no password of Redis and does not wait for it. One file for each agent below
``<run_dir>/leases/``, written anew every few seconds; an old one says nothing (its agent is dead: Redis, not this
file, is the truth). Only root's and our own files count: whoever may write there could charge somebody else.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labq.holding.facts import LeaseFacts
from labq.holding.words import plain
from labq.whole_file import write_whole

#: Seconds after which a file that was not written again says nothing.
STALE = 30.0
_FOLDER = "leases"
_MAX_BYTES = 8 * 2**20


def write_leases(run_dir: Path, agent: str, leases: Sequence[LeaseFacts], *, now: float) -> None:
    """Write the leases of one agent, at once or not at all.

    Args:
        run_dir: ``/run/labq``.
        agent: who writes; the file's name.
        leases: all that it has.
        now: seconds since the epoch.

    Raises:
        OSError: the directory cannot be written.
    """
    folder = run_dir / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    body = {
        "v": 1,
        "written": now,
        "leases": [{**asdict(lease), "gpus": dict(lease.gpus)} for lease in leases],
    }
    # A token lets its bearer speak for the attempt.
    write_whole(folder / f"{agent}.json", json.dumps(body), mode=0o600)


def read_leases(run_dir: Path, *, now: float) -> tuple[list[LeaseFacts], list[str]]:
    """Return the leases of all agents of this machine, and a sentence for each file or row that does not count."""
    found: list[LeaseFacts] = []
    wrong: list[str] = []
    try:
        paths = sorted((run_dir / _FOLDER).glob("[!.]*.json"))
    except OSError as error:
        return [], [f"{run_dir / _FOLDER}: {error.strerror}"]
    for path in paths:
        try:
            rows, written = _read(path)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            wrong.append(f"{path}: {error}")
            continue
        # A clock that was set back makes the file of a live agent look like the future's.
        if abs(now - written) > STALE:
            wrong.append(f"{path}: {now - written:.0f} s old; its agent does not run")
            continue
        for row in rows:
            try:
                found.append(_lease(row))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                # No value of it in the words: a token is a secret.
                wrong.append(f"{path}: one of its leases does not count: {type(error).__name__}")
    return found, wrong


def _read(path: Path) -> tuple[list[Any], float]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor) as handle:
        about = os.fstat(handle.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_uid not in {0, os.geteuid()} or about.st_mode & 0o022:
            raise ValueError("it is not root's own file, so it does not count")
        body = json.loads(handle.read(_MAX_BYTES))
    if not isinstance(body, dict) or not isinstance(body["leases"], list):
        raise TypeError("it is no list of leases")
    return body["leases"], _finite(body["written"])


def _lease(row: Mapping[str, Any]) -> LeaseFacts:
    return LeaseFacts(
        token=_word(row["token"]),
        job=_word(row["job"]),
        attempt=int(_finite(row["attempt"])),
        owner=_word(row["owner"]),
        gpus={_word(uuid): int(_finite(size)) for uuid, size in row["gpus"].items()},
        since=_finite(row["since"]),
    )


def _word(value: object) -> str:
    if not isinstance(value, str) or not value or plain(value) != value:
        raise ValueError("it is no word")
    return value


def _finite(value: object) -> float:
    # NaN is neither older nor younger than anything: it would count for ever.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return value
