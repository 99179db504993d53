"""``labq.toml`` in a directory: the keys of a spec (docs/reference/spec.md) and ``array``; flags win over it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from labq.cli.flags import KEYS
from labq.errors import BadInputError, closest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "labq.toml"
#: ``context`` is what is uploaded: a file cannot say it.
LEGAL = tuple(key for key in (*KEYS, "array") if key != "context")


def read(directory: str) -> dict[str, Any]:
    """Return what the directory's labq.toml says; empty when there is none.

    Raises:
        BadInputError: it is no TOML, cannot be read, or has an unknown key.
    """
    path = os.path.join(directory, NAME)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror}", "make it a readable file") from None
    import tomllib

    try:
        body = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: {error}", 'mend it; a line looks like gpus = "a100:2"') from None
    return check(body, path)


def check(body: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the body with JSON values only.

    Raises:
        BadInputError: naming an unknown key and the closest legal one.
    """
    for key in body:
        if key in LEGAL:
            continue
        near = closest(key.replace("-", "_"), list(LEGAL))
        hint = f"did you mean {near!r}? " if near else ""
        raise BadInputError(f"{path}: unknown key {key!r}", f"{hint}legal keys: {', '.join(LEGAL)}")
    return {key: _plain(value) for key, value in body.items()}


def _plain(value: Any) -> Any:
    # TOML has dates; JSON has not.
    return value.isoformat() if hasattr(value, "isoformat") else value


def blame(error: BadInputError, file: Mapping[str, Any], path: str) -> BadInputError:
    """Return the error that names labq.toml when it is the file that says something illegal."""
    if not file:
        return error
    from labq.spec import JobSpec

    said = {key: value for key, value in file.items() if key != "array"}
    try:
        JobSpec.from_wire({"image": "any", **said} if "image" not in said else said, path)
    except BadInputError as found:
        return found if "both an image" not in found.what else error
    return error
