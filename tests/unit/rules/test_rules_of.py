"""What the policy gets of a file."""

from __future__ import annotations

from dataclasses import fields

import pytest

from labq.rules.keys import KEYS
from labq.rules.read import read
from labq_scheduler.policy.rules import Caps, Passing, Rules, Weights
from labq_scheduler.policy.rules_of import card_weight, rules_of

pytestmark = pytest.mark.unit

#: Of ``Rules``: put together from several keys, or for simulations only.
TOGETHER = {
    "weights",
    "cap",
    "shares",
    "groups",
    "group_shares",
    "caps",
    "group_caps",
    "cards",
    "classes",
    "windows",
}
NOT_IN_THE_FILE = {"gangs"}


def rules(text: str) -> Rules:
    return rules_of(read(text))


def test_without_a_file_the_rules_are_the_defaults() -> None:
    assert rules("") == Rules()


def test_every_rule_can_be_said_in_the_file() -> None:
    said = {key.attribute for key in KEYS if key.attribute}
    rows = {row.name for row in fields(Rules)} - TOGETHER - NOT_IN_THE_FILE
    assert rows <= said, f"write a row of KEYS (labq/rules/keys.py) for {rows - said}"
    assert {f"weights.{row.name}" for row in fields(Weights)} <= said
    assert {f"cap.{row.name}" for row in fields(Caps)} <= said


def test_every_default_can_be_written_and_read_back() -> None:
    for key in KEYS:
        if key.attribute and not key.attribute.startswith("cap."):
            value: object = Rules()
            for part in key.attribute.split("."):
                value = getattr(value, part)
            section = ".".join(key.pattern[:-1])
            text = f"[{section}]\n{key.pattern[-1]} = {key.write(str(value) if key.pattern[-1] == 'rule' else value)}"
            assert rules(text) == Rules(), text


def test_what_is_said_is_what_the_policy_gets() -> None:
    found = rules(
        '[weights]\nsmall = 3\n[fair-share]\nhalf-life = "3d"\n[passing]\nrule = "none"\n[shares]\nanna = 2'
    )
    assert found.weights == Weights(small=3.0)
    assert (found.half_life, found.passing, found.shares) == (3 * 86400.0, Passing.NONE, {"anna": 2.0})


def test_groups_have_members_shares_and_caps() -> None:
    found = rules(
        '[groups.vision]\nmembers = ["anna", "ben"]\nshare = 2\ngpus = 16\n[groups.nlp]\nmembers = ["carl"]'
    )
    assert found.groups == {"anna": "vision", "ben": "vision", "carl": "nlp"}
    assert found.group_shares == {"vision": 2.0}
    assert found.group_caps == {"vision": Caps(gpus=16.0)}


def test_a_persons_cap_changes_only_what_it_says() -> None:
    found = rules(
        '[caps]\ngpus = 4\njobs = 10\n[caps.person.anna]\ngpus = "none"\n[caps.person.ben]\njobs = 1'
    )
    assert found.cap_of("carl") == Caps(4.0, 10)
    assert found.cap_of("anna") == Caps(None, 10)
    assert found.cap_of("ben") == Caps(4.0, 1)


def test_a_class_is_for_those_who_are_named() -> None:
    found = rules('[groups.vision]\nmembers = ["anna"]\n[classes]\nurgent = ["@vision", "ben"]')
    assert [found.may_use(name, "urgent") for name in ("anna", "ben", "carl")] == [True, True, False]
    assert found.may_use("carl", "high")


def test_a_reservation_is_a_window() -> None:
    text = '[[reservation]]\nname = "x"\nfor = ["a"]\nfrom = 1970-01-01T00:01:00Z\nuntil = 1970-01-01T01:02:00+01:00'
    (window,) = rules(text).windows
    assert (window.name, window.nodes, window.people) == ("x", (), ("a",))
    assert (window.begin, window.until) == (60.0, 120.0)


def test_the_longest_name_of_a_card_that_fits_counts() -> None:
    found = rules('[cards]\n"rtx 4090" = 2\na100 = 4\n"a100 pcie" = 3')
    assert card_weight(found, "NVIDIA A100-SXM4-80GB") == 4
    assert card_weight(found, "NVIDIA A100-PCIE-40GB") == 3
    assert card_weight(found, "NVIDIA GeForce RTX 4090") == 2
    assert card_weight(found, "NVIDIA H100") == 1
    assert card_weight(Rules(), "") == 1
