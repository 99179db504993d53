"""The units of labq's programs, for systemd. They are files beside this one, and nobody renders them.

What differs from machine to machine is in the files of variables that they name.
"""

from __future__ import annotations

from importlib.resources import files

from labq.errors import NotFoundError, closest

_KINDS = (".service", ".socket", ".timer")


def unit_names() -> list[str]:
    """Return the names of all units, such as ``labq-worker.service``, sorted."""
    return sorted(each.name for each in files("labq.systemd").iterdir() if each.name.endswith(_KINDS))


def unit_text(name: str) -> str:
    """Return what a unit says.

    Args:
        name: with or without ``.service``: ``labq-worker``, ``labq-docker-stamp.socket``.

    Raises:
        NotFoundError: there is none of that name.
    """
    names = unit_names()
    wanted = name if name.endswith(_KINDS) else f"{name}.service"
    if wanted not in names:
        near = closest(wanted, names)
        hint = f"did you mean {near}? " if near else ""
        raise NotFoundError(f"there is no unit {name[:100]!r}", f"{hint}there are: {', '.join(names)}")
    return files("labq.systemd").joinpath(wanted).read_text()
