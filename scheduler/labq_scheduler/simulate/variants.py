"""What is compared: a policy under its rules on some machines; and whether the jobs fit there at all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from labq.errors import BadInputError, closest
from labq.gpu_request import GpuRequest
from labq.node import Node
from labq_scheduler.policy.fit import could_hold
from labq_scheduler.policy.gang import place_gang
from labq_scheduler.policy.room import Room
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.shape import Shape, shape_of
from labq_scheduler.simulate.baselines import BASELINES, Policy, own
from labq_scheduler.simulate.traces import TraceJob

#: labq's policy under the rules that were given, else under those in force in the lab, else its defaults.
OWN = "own"
#: labq's policy under the rules in force in the lab, to compare given rules with.
PRESENT = "present"
#: labq's policy under its defaults, to compare given rules with.
DEFAULT = "default"
NAMES = (*BASELINES, DEFAULT, PRESENT, OWN)


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of the answer."""

    label: str
    policy: str
    rules: Rules
    nodes: tuple[Node, ...]
    #: spread a job that no node could hold over several
    gangs: bool

    @property
    def gpus(self) -> int:
        """Return the healthy GPUs of the machines."""
        return sum(not gpu.fault for node in self.nodes for gpu in node.gpus)

    def made(self) -> Policy:
        """Return the policy with its rules."""
        found = own(self.rules) if self.policy in {OWN, PRESENT, DEFAULT} else BASELINES[self.policy]
        return replace(found, rules=replace(found.rules, gangs=self.gangs))


def check_names(names: Sequence[str]) -> None:
    """Do nothing when all policies are known, and none is named twice.

    Raises:
        BadInputError: quoting the one that is not.
    """
    for name in names:
        if name not in NAMES:
            near = closest(name, list(NAMES))
            hint = f"did you mean {near}? " if near else ""
            raise BadInputError(f"policy {name[:80]!r} is not known", f"{hint}legal: {', '.join(NAMES)}")
        if names.count(name) > 1:
            raise BadInputError(f"--compare names {name} twice", "name each policy once")


def unfit(trace: Sequence[TraceJob], nodes: Sequence[Node], *, gangs: bool) -> list[TraceJob]:
    """Return the jobs that could not run on these machines if nothing else ran there."""
    known: dict[Shape, bool] = {}
    rooms = {node.name: Room.empty(node) for node in nodes}
    found = []
    for job in trace:
        shape = shape_of(job.spec) if job.spec else Shape(GpuRequest(job.gpus, job.models))
        if shape not in known:
            known[shape] = any(could_hold(shape, node) for node in nodes) or (
                gangs and place_gang(shape, rooms) is not None
            )
        if not known[shape]:
            found.append(job)
    return found
