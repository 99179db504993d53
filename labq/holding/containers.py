"""Turns what a Docker or podman engine answers into ContainerFacts. Pure.

Of labels and uid only what *whoever started it* said is kept: what the image itself carries says nothing about a
person. An image with ``USER 1000`` is not run by the person who has uid 1000 here; and ``docker commit`` writes the
labels of somebody's container into an image that everybody may use.

A rootless engine answers what its user likes: letters that nobody can print are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from labq.holding.facts import ContainerFacts, Mount
from labq.holding.seal import OWNER_LABEL, STAMP_LABEL
from labq.holding.words import plain

#: Uids are 32 bits wide; the last value means "none".
_NO_UID = 4294967295


def facts_of_listed(item: Mapping[str, Any], *, engine_uid: int = 0) -> ContainerFacts:
    """Return what one item of ``GET /containers/json`` says; it cannot say which uid was asked for.

    Args:
        item: as the engine wrote it.
        engine_uid: owner of the engine's socket.
    """
    names = item.get("Names") or ()
    return ContainerFacts(
        id=plain(str(item.get("Id", ""))),
        name=name_of(names[0]) if names else "",
        image=plain(str(item.get("Image", ""))),
        labels=_labels(item.get("Labels")),
        mounts=_binds(item),
        created=_seconds(item.get("Created")),
        engine_uid=engine_uid,
    )


def facts_of_inspected(
    answer: Mapping[str, Any], image: Mapping[str, Any] | None, *, engine_uid: int = 0
) -> ContainerFacts:
    """Return what ``GET /containers/<id>/json`` says, less what its image says too.

    Args:
        answer: as the engine wrote it.
        image: ``GET /images/<id>/json`` of its image; None = unknown, then no uid counts as asked for.
        engine_uid: owner of the engine's socket.
    """
    config = answer.get("Config") or {}
    own = (image or {}).get("Config") or {}
    baked, written = _labels(own.get("Labels")), _labels(config.get("Labels"))
    labels = {key: value for key, value in written.items() if baked.get(key) != value}
    if STAMP_LABEL in labels and OWNER_LABEL in written:
        # The proxy stamped the very name that the image carries too.
        labels[OWNER_LABEL] = written[OWNER_LABEL]
    return ContainerFacts(
        id=plain(str(answer.get("Id", ""))),
        name=name_of(answer.get("Name", "")),
        image=plain(str(config.get("Image") or answer.get("ImageName") or answer.get("Image") or "")),
        labels=labels,
        mounts=_binds(answer),
        created=_seconds(answer.get("Created")),
        asked_uid=None if image is None else _asked(config.get("User"), own.get("User")),
        engine_uid=engine_uid,
    )


def name_of(said: object) -> str:
    """Return a container's name as people write it."""
    return plain(str(said)).lstrip("/")


def _labels(said: Mapping[str, object] | None) -> dict[str, str]:
    return {plain(str(key)): plain(str(value)) for key, value in (said or {}).items()}


def _asked(user: object, image_user: object) -> int | None:
    asked = _number(user)
    return None if asked is None or asked == _number(image_user) else asked


def _number(user: object) -> int | None:
    """Return the uid of ``1001`` or ``1001:1001``; None for names, which are the image's own."""
    text = str(user or "").partition(":")[0]
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        return None
    return int(text) if int(text) < _NO_UID else None


def _binds(answer: Mapping[str, Any]) -> tuple[Mount, ...]:
    found = {
        # Docker and podman both write RW, also beside a Mode.
        Mount(plain(str(mount["Source"])), mount.get("RW") is True)
        for mount in answer.get("Mounts") or ()
        if mount.get("Type") == "bind" and mount.get("Source")
    }
    return tuple(sorted(found))


def _seconds(created: object) -> float:
    """Return seconds since the epoch; engines write whole seconds in lists and RFC 3339 elsewhere."""
    if isinstance(created, int | float):
        return float(created)
    try:
        return datetime.fromisoformat(_micro(str(created or ""))).timestamp()
    except ValueError:
        return 0.0


def _micro(text: str) -> str:
    """Return an RFC 3339 text with its nanoseconds cut to what Python reads."""
    whole, dot, rest = text.partition(".")
    if not dot:
        return text
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return f"{whole}.{digits[:6]:0<6}{rest[len(digits) :]}"
