"""The records of a node and its GPUs. Pure.

Lives here: what a node says of itself when it registers, and what an admin has said of it.
Must not live here: who holds what (that is in the jobs and in the leases of the store).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from labq.errors import BadInputError
from labq.neighbours import Neighbours

#: Seconds without a heartbeat after which a node gets no new work.
STALE_AFTER = 15.0
#: A node's name is part of file names, Redis keys, queues and host names: 63 is the longest label of a host name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
#: Names that mean something else where nodes are named: "server" is the server's own row of the metrics.
RESERVED = frozenset({"server"})
#: Prefix of the name under which a node's agent is known to the server, so that no person can have it.
AGENT_PREFIX = "node-"


def check_node_name(name: str) -> str:
    """Return the name of a node when it is legal.

    Raises:
        BadInputError: it is not.
    """
    if not _NAME.fullmatch(name):
        raise BadInputError(
            f"node name {name[:100]!r} is not legal",
            "use 1 to 63 of A-Z a-z 0-9 _ . -, such as n1: --name n1",
        )
    if name.lower() in RESERVED:
        raise BadInputError(
            f"node name {name!r} is taken: labq calls its own server so", "use another, such as n1: --name n1"
        )
    return name


def is_older(version: str, than: str) -> bool:
    """Return whether one version of labq is older than another, by their numbers; False when one cannot be read.

    Args:
        version: such as "0.2.0".
        than: likewise.
    """
    first, second = (_numbers(text) for text in (version, than))
    return bool(first and second) and first < second


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d{1,9}(?:\.\d{1,9}){0,5}", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:  # 1.0 is 1.0.0
        numbers.pop()
    return tuple(numbers) or ((0,) if found else ())


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU of a node, as NVML names it."""

    uuid: str
    index: int
    model: str
    #: bytes
    memory: int
    #: made up by the person who started the agent with ``--gpus sim:…``; True everywhere it is shown
    simulated: bool = False
    #: "" = healthy; else why nothing may be placed on it
    fault: str = ""
    #: id of the GPU instance (MIG) of the card at ``index``; None = the whole card
    instance: int | None = None

    @property
    def slot(self) -> str:
        """Return where it sits, as people and DCGM write it: "2", or "2.1" for instance 1 of card 2."""
        return str(self.index) if self.instance is None else f"{self.index}.{self.instance}"


@dataclass(frozen=True, slots=True)
class Node:
    """One machine that runs jobs."""

    name: str
    #: cores that jobs may use
    cpus: float
    #: bytes of main memory that jobs may use
    memory: int
    gpus: tuple[Gpu, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    #: "" = takes work; else why not, in the admin's or the agent's words
    drained: str = ""
    #: False after the reaper declared it lost, until it registers again
    alive: bool = True
    #: when it was last heard: seconds since the epoch, by the clock of whoever reads it
    heartbeat: float = 0.0
    version: str = ""
    #: engine version, driver version, host name, operating system: for people
    facts: Mapping[str, str] = field(default_factory=dict)
    #: bytes of its disk that jobs may use; None = its agent does not tell: no job that asks for disk runs there
    disk: int | None = None
    #: which of its GPUs are near each other; empty = its driver, or its older agent, does not tell
    near: Neighbours = field(default_factory=Neighbours)

    def takes_work(self, now: float) -> bool:
        """Return whether new jobs may be placed here."""
        return self.alive and not self.drained and now - self.heartbeat < STALE_AFTER

    def matches(self, constraint: str) -> bool:
        """Return whether this node satisfies one constraint (``n1``, ``!n2``, ``rack=a``, ``rack!=b``)."""
        if "!=" in constraint:
            key, _, value = constraint.partition("!=")
            return self.labels.get(key) != value
        if "=" in constraint:
            key, _, value = constraint.partition("=")
            return self.labels.get(key) == value
        if constraint.startswith("!"):
            return self.name != constraint[1:]
        return self.name == constraint

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form of all that is durable (not the heartbeat)."""
        return {
            "name": self.name,
            "cpus": self.cpus,
            "memory": self.memory,
            "disk": self.disk,
            "gpus": [
                {
                    "uuid": g.uuid,
                    "index": g.index,
                    "model": g.model,
                    "memory": g.memory,
                    "simulated": g.simulated,
                    "fault": g.fault,
                    "instance": g.instance,
                }
                for g in self.gpus
            ],
            "labels": dict(self.labels),
            "version": self.version,
            "facts": dict(self.facts),
            # Beside the GPUs, not in them: an older server drops a node with a GPU that has a key it does not know.
            "near": self.near.to_wire(),
        }

    @staticmethod
    def from_wire(
        body: Mapping[str, Any], *, heartbeat: float = 0.0, drained: str = "", alive: bool = True
    ) -> Node:
        """Return the node that ``body`` (of :meth:`to_wire`) describes.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: an agent gone mad wrote it. It must not come into a decision,
                which would fail for the whole lab.
        """
        gpus = tuple(Gpu(**gpu) for gpu in body["gpus"])
        node = Node(
            name=body["name"],
            cpus=float(body["cpus"]),
            memory=int(body["memory"]),
            disk=None if body.get("disk") is None else int(body["disk"]),
            gpus=gpus,
            labels=dict(body.get("labels", {})),
            drained=drained,
            alive=alive,
            heartbeat=heartbeat,
            version=body.get("version", ""),
            facts=dict(body.get("facts", {})),
            near=Neighbours.from_wire(body.get("near"), [gpu.uuid for gpu in gpus]),
        )
        if not _is_sound(node):
            raise ValueError(f"the record of node {str(node.name)[:100]!r} makes no sense")
        return node


def _is_sound(node: Node) -> bool:
    """Return whether all that decisions compare is of its type and a number that can be."""
    texts = [node.name, *node.labels, *node.labels.values()]
    for gpu in node.gpus:
        texts += [gpu.uuid, gpu.model, gpu.fault]
    numbers = [
        node.cpus,
        node.memory,
        node.disk or 0,
        *(number for gpu in node.gpus for number in (gpu.memory, gpu.index)),
    ]
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int | float) and 0 <= number < inf for number in numbers)
        and len({gpu.uuid for gpu in node.gpus}) == len(node.gpus)
    )
