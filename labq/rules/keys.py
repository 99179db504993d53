"""Every key of the rules' file. One table: the reader, docs/reference/rules.md and `labq admin rules show` are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labq.rules import values
from labq.spec import PRIORITIES

#: In a pattern: a name that the lab chooses, and an item of a list of tables.
ANY, EACH = "*", "#"


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the table."""

    #: where it stands: names of tables and the key; ``ANY`` and ``EACH`` where the lab chooses
    pattern: tuple[str, ...]
    read: Callable[[Any], Any]
    #: what is legal, for people
    form: str
    help: str
    #: attribute of the policy's ``Rules`` that it sets; "" = it is put together from several keys
    attribute: str = ""
    #: the value as one writes it
    write: Callable[[Any], str] = values.written
    #: checks what stands for ``ANY``
    name: Callable[[Any], str] = values.name
    #: a table without it is a mistake
    needed: bool = False

    @property
    def section(self) -> str:
        """Return the head of its table as it stands in the file: ``[groups.NAME]``, ``[[reservation]]``."""
        *parts, _ = self.pattern
        named = ".".join("NAME" if part == ANY else part for part in parts if part != EACH)
        return f"[[{named}]]" if EACH in parts else f"[{named}]"


_WEIGHT, _TIME = "a number from 0 to 1000", 'a duration: "30m", "6h", "14d"'
_TIME_OR_NEVER = f'{_TIME}; or "never"'
_CAP_GPUS, _CAP_JOBS = 'a number; or "none"', 'a whole number; or "none"'
_PEOPLE = 'a list of people and @groups: ["anna", "@vision"]'


def _weight(name: str, text: str) -> Key:
    return Key(("weights", name), values.number, _WEIGHT, text, f"weights.{name}")


def _time(section: str, name: str, attribute: str, text: str, *, never: bool = False) -> Key:
    read = values.duration_or_never if never else values.duration
    form = _TIME_OR_NEVER if never else _TIME
    return Key((section, name), read, form, text, attribute, values.written_duration)


def _caps(*where: str, of: str, attribute: str = "") -> tuple[Key, Key]:
    gpus = f"GPUs that {of} may hold at once; a share counts as its part."
    jobs = f"Jobs of {of} that may hold something at once."
    return (
        Key((*where, "gpus"), values.gpus, _CAP_GPUS, gpus, attribute and f"{attribute}.gpus", values.written_cap),
        Key((*where, "jobs"), values.jobs, _CAP_JOBS, jobs, attribute and f"{attribute}.jobs", values.written_cap),
    )  # fmt: skip


KEYS: tuple[Key, ...] = (
    _weight("share", "How much it counts that somebody has had less than a fair part."),
    _weight("held", "How much it counts against somebody that they hold a part of the lab now."),
    _weight("age", "How much waiting counts."),
    _weight("wide", "How much waiting counts besides for each doubling of the number of GPUs."),
    _weight("small", "How much it counts that a job is thought to be short and narrow."),
    _weight("overdue", "How much each week counts that a job is overdue."),
    Key(("fair-share", "half-life"), values.half_life, _TIME, "Time after which a GPU-second counts half.", "half_life", values.written_duration),
    _time("fair-share", "age-full", "age_full", "Time of waiting after which age counts in full."),
    Key(("passing", "rule"), values.passing, '"easy", "any" or "none"',
        "Who may start while an earlier job cannot: easy = who does not delay the first of those, any = whoever fits, none = nobody.",
        "passing"),
    Key(("passing", "margin"), values.margin, "a number from 0.1 to 1000",
        "How many times its expected run time must pass before the reservation for a job to pass it.", "pass_margin"),
    Key(("passing", "margin-over"), values.number, _WEIGHT,
        "So much is added to the margin (1 = as much again) for each fair part of the lab that its owner holds too many.", "pass_margin_over"),
    _time("wait", "bound", "bound",
          "Waiting after which a job goes before all others, in order of arrival. It is a bound only where every job has a time limit (LABQ_MAX_TIME).",
          never=True),
    _time("wait", "overdue-after", "overdue_after", "Waiting after which a job is overdue: from then on its score grows without end."),
    _time("preemption", "after", "preempt_after",
          "Waiting after which a job may have preemptible jobs of any class stopped; before that only those of a worse class.", never=True),
    _time("preemption", "protect", "preempt_protect", "Time that a preemptible job runs at least before it is stopped for another."),
    Key(("preemption", "most"), values.times, "a whole number from 0 to 1000",
        "How often one job is stopped for others; after that it runs to its end. 0 = nobody is stopped.", "preempt_most"),
    Key(("images", "per-node"), values.few, "a whole number from 1 to 100",
        "Images that one node prepares at the same time.", "prepares_per_node"),
    Key(("shares", ANY), values.number, _WEIGHT, "The part of the lab that a person is entitled to, against the 1 of others."),
    Key(("groups", ANY, "members"), values.members, 'a list of people: ["anna", "ben"]', "Who is in the group; nobody is in two.", needed=True),
    Key(("groups", ANY, "share"), values.number, _WEIGHT, "The part of the lab that the group is entitled to, against the 1 of others."),
    *_caps("groups", ANY, of="the group"),
    *_caps("caps", of="each person", attribute="cap"),
    *_caps("caps", "person", ANY, of="this person"),
    Key(("cards", ANY), values.number, _WEIGHT,
        "What a second of such a card counts against the 1 of others. A card is meant by each word of its name: a100, rtx-4090; the longest that fits counts.",
        name=values.model),
    *(Key(("classes", name), values.people, _PEOPLE, f"Who may submit jobs of priority {name}, besides admins; without it everybody.")
      for name in PRIORITIES[:2]),
    Key(("reservation", EACH, "name"), values.name, "a name", "What it is called.", needed=True),
    Key(("reservation", EACH, "nodes"), values.nodes, 'node constraints, as in a job: ["n1", "n2"], ["rack=a"]',
        "Which nodes; without it all."),
    Key(("reservation", EACH, "for"), values.people, _PEOPLE, "Who alone may start jobs there.", needed=True),
    Key(("reservation", EACH, "from"), values.time, "a moment with its zone: 2026-12-01T22:00:00+09:00",
        "When it begins. A job of others is not started there if its time limit, or without one its expected run time, reaches beyond.",
        write=values.written_time, needed=True),
    Key(("reservation", EACH, "until"), values.time, "likewise", "When it ends.", write=values.written_time, needed=True),
)  # fmt: skip
