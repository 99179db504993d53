"""Machines in a few words: ``14x4``, ``4x2:t4:16GB,1x8:a100:80GB``."""

from __future__ import annotations

import re

from labq.errors import BadInputError
from labq.node import Gpu, Node
from labq.units import parse_bytes

_FORM = re.compile(
    r"(?P<nodes>\d{1,5})x(?P<gpus>\d{1,3})(?::(?P<model>[A-Za-z0-9-]+))?(?::(?P<size>[0-9.]+[A-Za-z]+))?"
)
_HELP = "write NODESxGPUS, with model and memory where they matter: 14x4, or 4x2:t4:16GB,1x8:a100:80GB"
#: Bytes of a card of which nothing is said.
CARD = 24 * 2**30
MAX_NODES, MAX_GPUS = 20_000, 100_000


def parse_machines(text: str) -> list[Node]:
    """Return the nodes that a text describes; they are simulated, and say so.

    Raises:
        BadInputError: quoting the part that is not legal.
    """
    nodes: list[Node] = []
    all_gpus = 0
    for part in text.split(","):
        found = _FORM.fullmatch(part.strip())
        if found is None:
            raise BadInputError(f"machines {part.strip()!r} are not legal", _HELP)
        gpus, model = int(found["gpus"]), found["model"] or "card"
        memory = parse_bytes(found["size"]) if found["size"] else CARD
        all_gpus += int(found["nodes"]) * gpus
        if all_gpus > MAX_GPUS:
            raise BadInputError(f"machines {text[:80]!r} have more than {MAX_GPUS} GPUs", _HELP)
        for _ in range(int(found["nodes"])):
            name = f"{model}-{gpus}-{len(nodes) + 1:03d}"
            cards = tuple(Gpu(f"{name}-{i}", i, model, memory, simulated=True) for i in range(gpus))
            nodes.append(
                Node(name, 16.0 * max(1, gpus), 64 * 2**30 * max(1, gpus), cards, heartbeat=float("inf"))
            )
            if len(nodes) > MAX_NODES:
                raise BadInputError(f"machines {text[:80]!r} are more than {MAX_NODES} nodes", _HELP)
    return nodes
