"""Machines that are added to or taken from others: what would two more of them do? Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from labq.errors import BadInputError, closest
from labq.gpu_request import model_matches
from labq.node import Node
from labq_scheduler.simulate.machines import parse_machines

_SOME = re.compile(r"(?P<nodes>\d{1,5})x(?P<gpus>\d{1,3})(?::(?P<model>[A-Za-z0-9-]+))?")
_HELP = "name a node, or write NODESxGPUS with a model where it matters: n3, 2x4, 2x1:4090"


def added(nodes: Sequence[Node], text: str) -> list[Node]:
    """Return the nodes and those that a text of machines describes.

    Raises:
        BadInputError: quoting what is not legal.
    """
    found, names = list(nodes), {node.name for node in nodes}
    for number, node in enumerate(parse_machines(text), 1):
        name = f"added-{number:03d}"
        while name in names:
            name += "-new"
        names.add(name)
        gpus = tuple(replace(gpu, uuid=f"{name}-{gpu.index}") for gpu in node.gpus)
        found.append(replace(node, name=name, gpus=gpus))
    return found


def removed(nodes: Sequence[Node], text: str) -> list[Node]:
    """Return the nodes without those that a text names, or counts.

    Raises:
        BadInputError: there is no such node, or there are not so many.
    """
    left = list(nodes)
    for part in (piece.strip() for piece in text.split(",")):
        names = {node.name for node in left}
        if part in names:
            left = [node for node in left if node.name != part]
        elif some := _SOME.fullmatch(part):
            left = _without(left, part, some)
        else:
            near = closest(part, sorted(names))
            hint = f"did you mean {near}? " if near else ""
            raise BadInputError(f"there is no machine {part[:80]!r} to remove", hint + _HELP)
    return left


def _without(nodes: list[Node], part: str, some: re.Match[str]) -> list[Node]:
    number, gpus, model = int(some["nodes"]), int(some["gpus"]), some["model"]
    alike = [
        node
        for node in nodes
        if len(node.gpus) == gpus and (not model or any(model_matches(model, gpu.model) for gpu in node.gpus))
    ]
    if len(alike) < number:
        raise BadInputError(f"cannot remove {part}: there are only {len(alike)} such machines", _HELP)
    gone = {node.name for node in alike[len(alike) - number :]}
    return [node for node in nodes if node.name not in gone]
