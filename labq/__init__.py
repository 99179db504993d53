"""labq: one queue for a lab's unlike GPU machines.

Lives here: the contract that every part shares (spec, job, node, states, errors, settings, wire),
the store (the only importer of redis), the Python client and the command line.
Must not live here: anything that only one component needs.

Where to look first:
    spec.py, gpu_request.py    what a person asks for
    states.py, ending.py       which moves are legal; how a job ends
    job.py, node.py, image.py  the records
    store/                     what Redis holds, and the one function that writes a state
    client/, cli/              how people and programs talk to the server
"""

from __future__ import annotations

# `typing` costs 3 ms at every start of the command line; mypy knows this name without it.
TYPE_CHECKING = False

__version__ = "0.1.0"
__all__ = ["Client", "LabqError", "__version__"]

if TYPE_CHECKING:
    from typing import Any

    from labq.client import Client
    from labq.errors import LabqError


def __getattr__(name: str) -> Any:
    """Import the client only when somebody asks for it: start-up time is a feature."""
    if name == "Client":
        from labq.client import Client

        return Client
    if name == "LabqError":
        from labq.errors import LabqError

        return LabqError
    raise AttributeError(name)
