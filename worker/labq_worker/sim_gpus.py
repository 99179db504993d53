"""GPUs that are made up: ``sim:2xRTX-4090-24GB,1xA100-80GB``. Pure.

For a machine without a GPU. They must be asked for by name, and say ``simulated`` wherever they are shown.
"""

from __future__ import annotations

import re

from labq.errors import BadInputError
from labq.node import Gpu
from labq.units import parse_bytes

PREFIX = "sim:"
_PART = re.compile(r"^(?:(\d{1,2})x)?(?!\d+x-)([A-Za-z0-9][A-Za-z0-9 -]*?)-(\d+(?:\.\d+)?[KMGTkmgt]i?[Bb]?)$")
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
    found: list[Gpu] = []
    for part in text.removeprefix(PREFIX).split(","):
        match = _PART.match(part.strip())
        if match is None:
            raise BadInputError(f"simulated GPUs {text!r}: {part!r} is not legal", _HELP)
        count = int(match[1] or "1")
        if not 1 <= count <= MAX_GPUS - len(found):
            raise BadInputError(f"simulated GPUs {text!r}: 1 to {MAX_GPUS} GPUs on a node", _HELP)
        memory = parse_bytes(match[3], "GPU memory")
        for _ in range(count):
            index = len(found)
            model = match[2].replace("-", " ")
            found.append(Gpu(f"SIM-{node}-{index}", index, model, memory, simulated=True))
    return tuple(found)
