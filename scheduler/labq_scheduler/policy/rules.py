"""The lab's rules: who is preferred, by how much, and what nobody may do. Values only; pure.

Lives here: ``Rules`` and what it is made of, with the defaults and why they are so. The file in which a lab writes
them is read elsewhere. The defaults were chosen once, by replays of public traces (docs/explanation/fair-share.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

DAY = 86400.0


class Passing(StrEnum):
    """Who may start while an earlier job cannot."""

    #: nobody: strict order
    NONE = "none"
    #: whoever fits: large jobs may starve
    ANY = "any"
    #: who does not delay the first job that cannot start (EASY backfill: one reservation)
    EASY = "easy"


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of a job's score counts. Parts run from 0 to 1, d once for each doubling, f without end.

    See policy/order.py.
    """

    #: a. the owner's fair share factor
    share: float = 3.0
    #: b. less what the owner holds now, as a part of the lab
    held: float = 2.0
    #: c. time waited, up to ``Rules.age_full``
    age: float = 0.0
    #: d. time waited, once more for each doubling of the number of GPUs: wide jobs find room seldom
    wide: float = 0.5
    #: e. smallness: predicted run time times GPUs, on a logarithmic scale
    small: float = 8.0
    #: f. weeks waited beyond ``Rules.overdue_after``
    overdue: float = 1.0


@dataclass(frozen=True, slots=True)
class Caps:
    """What one person or group may hold at once; None = no cap."""

    #: GPUs, a share counting as its part
    gpus: float | None = None
    jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Nodes that are kept for some people for a while."""

    name: str
    #: node constraints, as in a job's spec; () = all nodes
    nodes: tuple[str, ...]
    #: names of people and ``@groups``
    people: tuple[str, ...]
    #: seconds since the epoch
    begin: float
    until: float


@dataclass(frozen=True, slots=True)
class Rules:
    """The site's rules."""

    weights: Weights = field(default_factory=Weights)
    #: seconds after which a GPU-second used counts half
    half_life: float = 21 * DAY
    #: seconds of waiting after which age counts in full
    age_full: float = 28 * DAY
    #: seconds of waiting after which a job is overdue. Three weeks: sooner, it cost others more than it gave (ADR 13)
    overdue_after: float = 21 * DAY
    passing: Passing = Passing.EASY
    #: times the safe estimate that must pass before the reservation for a job to pass it
    pass_margin: float = 2.0
    #: the same for jobs of who holds more than a fair part now: this much more for each fair part too many
    pass_margin_over: float = 0.5
    #: seconds of waiting after which a job goes before all others, in order of arrival, and only kill limits count for who
    #: may pass it (docs/explanation/backfill.md); None = never
    bound: float | None = None
    #: seconds of waiting after which a job may have preemptible jobs of any class stopped; None = never. A day: long enough
    #: that the reservation had its chance, short enough that a person who submits before leaving comes back to a run
    preempt_after: float | None = DAY
    #: seconds that a preemptible job runs at least before it is stopped for another: most of what it lost would be its start
    preempt_protect: float = 600.0
    #: times that one job is stopped for others; after that it runs to its end
    preempt_most: int = 3
    #: parts of the lab that people are entitled to, relative to 1
    shares: Mapping[str, float] = field(default_factory=dict)
    #: person -> group, and parts of groups
    groups: Mapping[str, str] = field(default_factory=dict)
    group_shares: Mapping[str, float] = field(default_factory=dict)
    #: for each person, and for named persons and groups
    cap: Caps = Caps()
    caps: Mapping[str, Caps] = field(default_factory=dict)
    group_caps: Mapping[str, Caps] = field(default_factory=dict)
    #: model of a card, as in a request for GPUs -> what a second of it counts in fair share
    cards: Mapping[str, float] = field(default_factory=dict)
    #: priority class -> people and ``@groups`` who may use it; without a row everybody
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    #: images that one node prepares at the same time; more wait
    prepares_per_node: int = 4
    #: simulations only: a job that no node could hold is spread over whole nodes
    gangs: bool = False

    def has(self, person: str, people: Iterable[str]) -> bool:
        """Return whether ``people``, names and ``@groups``, have a person among them."""
        group = self.groups.get(person)
        return any(name == person or (group is not None and name == f"@{group}") for name in people)

    def may_use(self, person: str, priority: str) -> bool:
        """Return whether a person may submit jobs of a priority class."""
        return priority not in self.classes or self.has(person, self.classes[priority])

    def cap_of(self, person: str) -> Caps:
        """Return what a person may hold at once."""
        return self.caps.get(person, self.cap)


#: What gives the rules in force: a ``RulesFile``; ``Rules`` itself gives the defaults.
RulesNow = Callable[[], Rules]
