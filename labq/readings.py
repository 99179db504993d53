"""What a node's heartbeat says of its GPUs, read with care: an old agent, or one gone mad, must stop nobody else. Pure.

The form, by GPU uuid below "gpus" (``labq_worker.gpu_health`` writes it): state, memory_used (bytes), utilization
(percent), temperature (degrees Celsius), power (watts), holders [{user, source, since, memory, utilization (ratio),
processes, busy, container, job, disputed}]; beside it "clock", seconds since the epoch by the node's own clock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_NUMBERS = ("memory_used", "utilization", "temperature", "power")
_HOLDER_TEXTS = ("user", "source", "container", "job", "disputed")
_HOLDER_NUMBERS = ("since", "memory", "utilization", "processes")
#: Letters of a text that are kept, and numbers that are believed: times until the year 5138, bytes below an exbibyte.
_LONGEST, _TIMES, _LARGEST = 300, 1e11, 2.0**60
_MOST_GPUS, _MOST_HOLDERS = 256, 64


def read_readings(text: str) -> dict[str, Any]:
    """Return the readings in ``text`` with every value of its type; what is not is left out.

    A GPU of which anything is malformed is left out whole, as one that nobody looked at; "bad" says so in one sentence.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {"gpus": {}, "bad": "its heartbeat is no JSON"}
    if not isinstance(body, dict) or not isinstance(body.get("gpus", {}), dict):
        return {"gpus": {}, "bad": "its heartbeat says nothing of GPUs that can be read"}
    out: dict[str, Any] = {"gpus": {}}
    if _is_number(body.get("clock"), _TIMES):
        out["clock"] = body["clock"]
    for uuid, said in list(body.get("gpus", {}).items())[:_MOST_GPUS]:
        clean = _gpu(said)
        if clean is None:
            out["bad"] = (
                f"what its heartbeat says of GPU {uuid[:80]!r} cannot be read; is its agent of another version?"
            )
        else:
            out["gpus"][uuid] = clean
    return out


def _gpu(said: Any) -> dict[str, Any] | None:
    if not isinstance(said, dict):
        return None
    holders = said.get("holders", [])
    if not isinstance(holders, list) or len(holders) > _MOST_HOLDERS:
        return None
    if any(said.get(key) is not None and not _is_number(said[key], _LARGEST) for key in _NUMBERS):
        return None
    clean = [_holder(each) for each in holders]
    if None in clean or not isinstance(said.get("state", ""), str):
        return None
    out: dict[str, Any] = {key: said[key] for key in _NUMBERS if key in said}
    if said.get("state"):
        out["state"] = said["state"]
    return out | {"holders": clean}


def _holder(said: Any) -> dict[str, Any] | None:
    if not isinstance(said, Mapping) or not said.get("user"):
        return None
    out: dict[str, Any] = {}
    for key in _HOLDER_TEXTS:
        value = said.get(key, "")
        if not isinstance(value, str):
            return None
        if value:
            out[key] = value[:_LONGEST].encode("utf-8", "replace").decode()
    for key in _HOLDER_NUMBERS:
        value = said.get(key)
        if value is None:
            continue
        if not _is_number(value, _TIMES if key == "since" else _LARGEST):
            return None
        out[key] = value
    out["busy"] = bool(said.get("busy"))
    return out


def _is_number(value: Any, most: float) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value <= most
    )
