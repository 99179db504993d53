"""From what a rules' file says to ``Rules``. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from labq.rules.keys import KEYS, Key
from labq.rules.read import Said
from labq_scheduler.policy.rules import Caps, Passing, Rules, Window


def rules_of(said: Said) -> Rules:
    """Return the rules that a file says; what it does not say is as the defaults are."""
    rules = Rules()
    for entry in said.entries.values():
        if entry.key.attribute:
            rules = _set(rules, entry.key.attribute, entry.value)
    groups = [str(name) for name in said.below("groups")]
    return replace(
        rules,
        shares=_values(said, "shares"),
        groups={person: group for group in groups for person in said.value("groups", group, "members")},
        group_shares=_each(said, groups, "share"),
        group_caps={
            group: caps for group in groups if (caps := _caps(said, Caps(), "groups", group)) != Caps()
        },
        caps={
            str(person): _caps(said, rules.cap, "caps", "person", person) for person in said.below("caps", "person")
        },
        cards=_values(said, "cards"),
        classes=_values(said, "classes"),
        windows=tuple(_window(said, number) for number in said.below("reservation")),
    )  # fmt: skip


def default_texts() -> dict[str, str]:
    """Return the default of each key that has one, as one writes it in the file, by full name."""
    return {".".join(key.pattern): default_text(key) for key in KEYS if key.attribute}


def default_text(key: Key) -> str:
    """Return the default of a key as one writes it; "" when it has none."""
    if not key.attribute:
        return ""
    value: Any = Rules()
    for part in key.attribute.split("."):
        value = getattr(value, part)
    return key.write(str(value) if isinstance(value, Passing) else value)


def card_weight(rules: Rules, model: str) -> float:
    """Return what a second of a card counts in fair share: as the longest name says that fits; else 1."""
    from labq.gpu_request import model_matches

    fitting = [name for name in rules.cards if model_matches(name, model)]
    return rules.cards[max(fitting, key=lambda name: (len(name), name))] if fitting else 1.0


def _set(rules: Rules, attribute: str, value: Any) -> Rules:
    """Return the rules with ``half_life`` or ``weights.share`` set."""
    outer, dot, inner = attribute.partition(".")
    changed: dict[str, Any] = {outer: Passing(value) if outer == "passing" else value}
    if dot:
        changed = {outer: replace(getattr(rules, outer), **{inner: value})}
    return replace(rules, **changed)


def _values(said: Said, section: str) -> dict[str, Any]:
    return {str(name): said.value(section, name) for name in said.below(section)}


def _each(said: Said, groups: list[str], key: str) -> dict[str, float]:
    found = {group: said.value("groups", group, key) for group in groups}
    return {group: value for group, value in found.items() if value is not None}


def _caps(said: Said, usual: Caps, *where: str | int) -> Caps:
    """Return the caps that stand there; what is not said is as usual, and ``none`` is no cap."""
    gpus, jobs = said.entries.get((*where, "gpus")), said.entries.get((*where, "jobs"))
    return Caps(gpus.value if gpus else usual.gpus, jobs.value if jobs else usual.jobs)


def _window(said: Said, number: str | int) -> Window:
    name, nodes, people, begin, until = (
        said.value("reservation", number, key) for key in ("name", "nodes", "for", "from", "until")
    )
    return Window(name, nodes or (), people, begin, until)
