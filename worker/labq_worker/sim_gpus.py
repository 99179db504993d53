"""GPUs that are made up: ``sim:2xRTX-4090-24GB,1xA100-80GB``. Pure.

For a machine without a GPU. They must be asked for by name, and say ``simulated`` wherever they are shown. Those of one
part may be near each other: ``sim:2xA100-80GB+nvlink,2xA100-80GB+nvlink`` (or ``+switch``, ``+numa``).
"""

from __future__ import annotations

import re
from itertools import combinations

from labq.errors import BadInputError
from labq.neighbours import Neighbours, Pair, Tie, neighbours_of
from labq.node import Gpu
from labq.units import parse_bytes

PREFIX = "sim:"
_PART = re.compile(
    r"^(?:(\d{1,2})x)?(?!\d+x-)([A-Za-z0-9][A-Za-z0-9 -]*?)-(\d+(?:\.\d+)?[KMGTkmgt]i?[Bb]?)(?:\+(nvlink|switch|numa))?$"
)
_HELP = "write sim:COUNTxMODEL-MEMORY, such as sim:2xRTX-4090-24GB,1xA100-80GB"
MAX_GPUS = 64


def simulated_gpus(text: str, node: str) -> tuple[Gpu, ...]:
    """Return the GPUs that ``text`` (with its ``sim:``) names.

    Args:
        text: the value of ``--gpus``.
        node: name of the node; part of the UUIDs ``SIM-<node>-<i>``.

    Raises:
        BadInputError: quoting the part that is not legal.
    """
    return tuple(gpu for gpus, _ in _parts(text, node) for gpu in gpus)


def simulated_neighbours(text: str, node: str) -> Neighbours:
    """Return which of the GPUs that ``text`` names are near each other.

    Args:
        text: the value of ``--gpus``.
        node: name of the node.

    Raises:
        BadInputError: quoting the part that is not legal.
    """
    ties: dict[Tie, list[Pair]] = {tie: [] for tie in Tie}
    for gpus, tie in _parts(text, node):
        if tie:
            ties[Tie(tie)] += combinations([gpu.uuid for gpu in gpus], 2)
    return neighbours_of([gpu.uuid for gpu in simulated_gpus(text, node)], ties)


def _parts(text: str, node: str) -> list[tuple[list[Gpu], str]]:
    """Return the GPUs of each part, and what makes them near; "" = nothing."""
    found: list[tuple[list[Gpu], str]] = []
    index = 0
    for part in text.removeprefix(PREFIX).split(","):
        match = _PART.match(part.strip())
        if match is None:
            raise BadInputError(f"simulated GPUs {text!r}: {part!r} is not legal", _HELP)
        count = int(match[1] or "1")
        if not 1 <= count <= MAX_GPUS - index:
            raise BadInputError(f"simulated GPUs {text!r}: 1 to {MAX_GPUS} GPUs on a node", _HELP)
        memory = parse_bytes(match[3], "GPU memory")
        model = match[2].replace("-", " ")
        places = range(index, index + count)
        gpus = [Gpu(f"SIM-{node}-{place}", place, model, memory, simulated=True) for place in places]
        found.append((gpus, match[4] or ""))
        index += count
    return found
