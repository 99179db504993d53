"""Policies of others, as rules and estimators of ours: what a replay is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from labq_scheduler.policy.rules import DAY, Passing, Rules, Weights
from labq_scheduler.policy.runtimes import Runtimes
from labq_scheduler.simulate.estimators import Fixed, LastTwo, Oracle
from labq_scheduler.simulate.replay import Learner
from labq_scheduler.simulate.traces import TraceJob

_ARRIVAL = Weights(share=0.0, held=0.0, age=0.0, wide=0.0, small=0.0, overdue=0.0)
#: Slurm's classic multifactor: fair share 10, age 1, up to 7 days.
_MULTIFACTOR = Weights(share=10.0, held=0.0, age=1.0, wide=0.0, small=0.0, overdue=0.0)


def _plain(weights: Weights, passing: Passing) -> Rules:
    return Rules(
        weights=weights, passing=passing, half_life=7 * DAY, age_full=7 * DAY, pass_margin=1.0,
        pass_margin_over=0.0, gangs=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules, and who estimates run times."""

    rules: Rules
    estimator: Callable[[Sequence[TraceJob]], Learner]
    #: the estimator tells jobs apart by their names
    name_each: bool = False


def _oracle(trace: Sequence[TraceJob]) -> Learner:
    return Oracle({job.id: job.duration for job in trace})


BASELINES: dict[str, Policy] = {
    "fifo": Policy(_plain(_ARRIVAL, Passing.NONE), lambda trace: Fixed(7 * DAY)),
    "fifo-skip": Policy(_plain(_ARRIVAL, Passing.ANY), lambda trace: Fixed(7 * DAY)),
    "easy-oracle": Policy(_plain(_ARRIVAL, Passing.EASY), _oracle, name_each=True),
    "easy-none": Policy(_plain(_ARRIVAL, Passing.EASY), lambda trace: Fixed(7 * DAY)),
    "easy-pred": Policy(_plain(_ARRIVAL, Passing.EASY), lambda trace: LastTwo(), name_each=True),
    "mf-easy-pred": Policy(_plain(_MULTIFACTOR, Passing.EASY), lambda trace: LastTwo(), name_each=True),
}


def own(rules: Rules) -> Policy:
    """Return labq's own policy under rules."""
    from dataclasses import replace

    return Policy(replace(rules, gangs=True), lambda trace: Runtimes())
