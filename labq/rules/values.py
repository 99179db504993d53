"""Readers of single values of the rules: what TOML can hold in, a typed value out, or an error that quotes it. Pure."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

from labq.errors import BadInputError, closest
from labq.spec_values import constraints, moment
from labq.units import format_duration, parse_duration

#: Weights, shares and margins are compared with each other; more than a thousand to one is a slip of the finger.
MOST = 1000.0
#: A lab has fewer GPUs, and a person fewer jobs, than this.
MOST_GPUS, MOST_JOBS = 100_000, 1_000_000
_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z")
_CARD = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?\Z")
NEVER, NONE = "never", "none"


def number(raw: Any) -> float:
    """Return a number from 0 to 1000."""
    return _between(raw, 0.0, MOST)


def margin(raw: Any) -> float:
    """Return a number from 0.1 to 1000: a factor of a time."""
    return _between(raw, 0.1, MOST)


def gpus(raw: Any) -> float | None:
    """Return how many GPUs may be held, a share counting as its part; None for ``"none"``: no cap."""
    return None if raw == NONE else _between(raw, 0.0, MOST_GPUS, f' or "{NONE}"')


def jobs(raw: Any) -> int | None:
    """Return how many jobs may run; None for ``"none"``: no cap."""
    if raw == NONE:
        return None
    return _whole(raw, 0, MOST_JOBS, f' or "{NONE}"')


def times(raw: Any) -> int:
    """Return how often something may happen."""
    return _whole(raw, 0, 1000)


def few(raw: Any) -> int:
    """Return a whole number from 1 to 100."""
    return _whole(raw, 1, 100)


def _whole(raw: Any, low: int, high: int, more: str = "") -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not low <= raw <= high:
        raise BadInputError(
            f"{quoted(raw)} is out of range", f"write a whole number from {low} to {high}{more}"
        )
    return int(raw)


def duration(raw: Any) -> float:
    """Return seconds, more than 0. A number alone is refused: ``bound = 7`` is meant in days and would be seconds."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise BadInputError(f"{quoted(raw)} is not a duration", 'write it like "30m", "6h" or "14d"')
    if re.fullmatch(r"-?\d+(\.\d+)?", str(raw).strip()):
        raise BadInputError(f"{quoted(raw)} has no unit", 'write it with one, like "30m", "6h" or "14d"')
    return parse_duration(raw)


def half_life(raw: Any) -> float:
    """Return seconds, at least a minute. 0 would forget all use at once, and fair share would silently do nothing."""
    if raw == 0 or (isinstance(raw, str) and re.fullmatch(r"0+(\.0+)?[smhdw]?", raw.strip(), re.IGNORECASE)):
        raise BadInputError(
            f"a half-life of {quoted(raw)} would forget all use at once: fair share would do nothing",
            'write it like "14d"; to leave fair share out, write share = 0 below [weights]',
        )
    seconds = duration(raw)
    if seconds < 60:
        raise BadInputError(
            f"a half-life of {quoted(raw)} is too short", 'write at least "1m"; usual is "14d"'
        )
    return seconds


def duration_or_never(raw: Any) -> float | None:
    """Return seconds; None for ``"never"``."""
    return None if raw == NEVER else duration(raw)


def passing(raw: Any) -> str:
    """Return the name of a way in which later jobs may pass."""
    return choice(raw, ("easy", "any", "none"))


def choice(raw: Any, legal: tuple[str, ...]) -> str:
    """Return one of ``legal``."""
    if raw not in legal:
        near = closest(str(raw), list(legal))
        hint = f'did you mean "{near}"? ' if near else ""
        raise BadInputError(f"{quoted(raw)} is not known", f"{hint}legal: {', '.join(legal)}")
    return str(raw)


def name(raw: Any) -> str:
    """Return the name of a person or a group."""
    if not isinstance(raw, str) or not _NAME.match(raw):
        raise BadInputError(f"{quoted(raw)} is no name", "use 1 to 64 letters, digits and _ . -")
    return raw


def model(raw: Any) -> str:
    """Return the name of a card as in a request for GPUs: ``a100``, ``rtx-4090``."""
    if not isinstance(raw, str) or not _CARD.match(raw):
        raise BadInputError(
            f"{quoted(raw)} is no card", 'write a word of its name, such as "a100" or "rtx-4090"'
        )
    return raw.lower()


def members(raw: Any) -> tuple[str, ...]:
    """Return names of people, each once."""
    return tuple(dict.fromkeys(name(item) for item in _items(raw)))


def people(raw: Any) -> tuple[str, ...]:
    """Return names of people and ``@groups``, each once."""
    found = _items(raw)
    for item in found:
        if not isinstance(item, str) or not _NAME.match(item.removeprefix("@")):
            raise BadInputError(
                f"{quoted(item)} is nobody's name", 'write ["anna", "@vision"]: people, and @groups'
            )
    return tuple(dict.fromkeys(found))


def nodes(raw: Any) -> tuple[str, ...]:
    """Return node constraints, as in a job's ``nodes``."""
    return constraints(_items(raw))


def time(raw: Any) -> float:
    """Return seconds since the epoch from a moment with its zone."""
    try:
        return moment(raw)
    except BadInputError as error:
        said = error.what
    raise BadInputError(said, "write a moment with its zone: 2026-12-01T22:00:00+09:00")


def quoted(raw: Any) -> str:
    """Return a value as it stands in a file, shortened."""
    if isinstance(raw, bool):
        return str(raw).lower()
    shown = f'"{raw}"' if isinstance(raw, str) else str(raw)
    if not shown.isprintable():  # a terminal obeys such characters, and a log breaks its lines at them
        shown = repr(shown)[1:-1]
    return shown if len(shown) <= 80 else shown[:79] + "…"


def written(value: Any) -> str:
    """Return a value as one writes it in the file, whatever reader it came from.

    Seconds are not told from other numbers here: see ``Key.write``.
    """
    if isinstance(value, tuple | list):
        return "[" + ", ".join(written(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{value:g}" if isinstance(value, float) else str(value)


def written_duration(seconds: float | None) -> str:
    """Return a duration as one writes it."""
    return f'"{NEVER}"' if seconds is None else f'"{format_duration(seconds)}"'


def written_time(at: float) -> str:
    """Return a moment as one writes it, in UTC."""
    from labq.clock import rfc3339

    return rfc3339(at)


def written_cap(value: float | None) -> str:
    """Return a cap as one writes it."""
    return f'"{NONE}"' if value is None else written(value)


def _between(raw: Any, low: float, high: float, more: str = "") -> float:
    legal = not isinstance(raw, bool) and isinstance(raw, int | float) and isfinite(raw)
    if not legal:
        raise BadInputError(
            f"{quoted(raw)} is not a number", f"write a number from {low:g} to {high:g}{more}"
        )
    if not low <= raw <= high:
        raise BadInputError(
            f"{quoted(raw)} is out of range", f"write a number from {low:g} to {high:g}{more}"
        )
    return float(raw)


def _items(raw: Any) -> list[Any]:
    if isinstance(raw, str):
        return [raw]
    if not isinstance(raw, list | tuple):
        raise BadInputError(f"{quoted(raw)} is not a list", 'write a list: ["anna", "ben"]')
    return list(raw)
