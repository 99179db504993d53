"""Who is charged: what is proved, what is not known yet, and which container counts."""

from __future__ import annotations

import pytest
from support.town import (
    ALICE,
    BOB,
    ID,
    INNER,
    KEY,
    LABQ,
    LEASE,
    NAMES,
    OTHER,
    Town,
    answer,
    container,
    labelled,
    named,
    process,
    stamped,
)

from labq.holding.facts import ContainerFacts, Owner, ProcessFacts, Source
from labq.holding.owners import RULES, owner_of
from labq.holding.seal import OWNER_LABEL, STAMP_LABEL, new_nonce
from labq.wire import LABEL_ATTEMPT, LABEL_JOB, LABEL_OWNER


def test_there_is_a_rule_for_each_source_in_the_same_order() -> None:
    rules = [rule.__name__.removeprefix("_") for rule in RULES]
    assert rules == [source for source in Source if source not in {Source.GONE, Source.NONE}]


def test_what_has_gone_and_what_nothing_names_is_unknown() -> None:
    assert named(None) == Owner(source=Source.GONE)
    assert named(process()) == Owner()
    assert named(process(ID), container()) == Owner(container_id=ID, container="name-a", image="pytorch")
    assert named(process(ID)) == Owner(container_id=ID)


# 1 queue


def test_a_container_of_the_queue_is_its_leases() -> None:
    owner = named(process(ID, uid=BOB), container(mounts=("/home/bob",), labels=LABQ), leases=(LEASE,))
    assert (owner.user, owner.source, owner.job, owner.disputed) == ("alice", Source.QUEUE, "12", "")


def test_labels_of_the_queue_without_a_lease_charge_nobody() -> None:
    owner = named(process(ID), container(labels=LABQ))
    assert (owner.user, owner.source, owner.job) == ("unknown", Source.NONE, "")
    assert owner.disputed == "its labels say labq job '12', but no such lease exists"


@pytest.mark.parametrize(
    ("key", "value"), [(LABEL_JOB, "13"), (LABEL_ATTEMPT, "1"), (LABEL_OWNER, "bob"), (LABEL_ATTEMPT, "")]
)
def test_labels_of_the_queue_must_agree_with_the_lease(key: str, value: str) -> None:
    owner = named(process(ID), container(labels=LABQ | {key: value}), leases=(LEASE,))
    assert (owner.user, owner.job) == ("unknown", "")
    assert owner.disputed == "its labels name a lease, but that is of job 12 of alice"


def test_a_copy_of_a_queues_labels_is_told_from_the_original_by_age() -> None:
    original, copy = (
        container(created=1.0, labels=LABQ),
        container(OTHER, created=2.0, mounts=("/home/bob",), labels=LABQ),
    )
    found = {each.id: each for each in (copy, original)}
    tokens = {LEASE.token: LEASE}
    first = owner_of(process(ID), found, tokens, Town())
    second = owner_of(process(OTHER), found, tokens, Town())
    assert (first.user, first.source, first.disputed) == ("alice", Source.QUEUE, "")
    assert (second.user, second.source) == ("bob", Source.MOUNT)
    assert second.disputed == "its labels are a copy of those of job 12"


def test_false_labels_of_the_queue_leave_the_other_rules_their_say() -> None:
    assert answer(process(ID), container(asked=BOB, mounts=("/home/bob",), labels=LABQ))[:2] == (
        "bob",
        Source.MOUNT,
    )


# 2 proxy


def test_a_sealed_owner_is_believed_whatever_else_is_there() -> None:
    who = container(mounts=("/home/bob",), asked=BOB, labels=stamped("alice"))
    assert answer(process(ID), who) == ("alice", Source.PROXY, "")


@pytest.mark.parametrize(
    "stamp",
    [
        stamped("alice", key=b"x" * 32),
        stamped("bob") | {OWNER_LABEL: "alice"},
        {OWNER_LABEL: "alice", STAMP_LABEL: "v1:nonsense"},
    ],
)
def test_a_broken_seal_is_a_label_and_is_told(stamp: dict[str, str]) -> None:
    assert answer(process(ID), container(labels=stamp)) == (
        "alice",
        Source.LABEL,
        "its seal is not the proxy's",
    )
    user, source, disputed = answer(process(ID), container(mounts=("/home/bob",), labels=stamp))
    assert (user, source) == ("bob", Source.MOUNT)
    assert disputed == "its seal is not the proxy's; its label says alice, but its mounted home is bob's"


def test_a_copied_seal_is_good_for_the_first_container_only() -> None:
    first, second = (
        container(created=1.0, labels=stamped("alice")),
        container(OTHER, created=2.0, labels=stamped("alice")),
    )
    assert answer(process(ID), first, second) == ("alice", Source.PROXY, "")
    user, source, disputed = answer(process(OTHER), first, second)
    assert (user, source, disputed) == ("alice", Source.LABEL, "its seal is a copy of another container's")


def test_a_machine_without_a_proxy_takes_the_label_for_what_it_is() -> None:
    owner = named(process(ID), container(labels=stamped("alice")), key=None)
    assert (owner.user, owner.source, owner.disputed) == ("alice", Source.LABEL, "")


# accounts that are not known yet


@pytest.mark.parametrize(
    ("who", "where"),
    [
        (process(uid=ALICE, login=BOB), None),
        (process(login=ALICE, slice_uid=BOB), None),
        (process(ID, uid=ALICE), container(asked=ALICE, labels=labelled("bob"))),
        (process(ID, uid=ALICE), container(asked=ALICE, mounts=("/home/bob/x",))),
    ],
)
def test_while_the_directory_service_says_nothing_no_weaker_rule_names_somebody_else(
    who: ProcessFacts, where: ContainerFacts | None
) -> None:
    known = {where.id: where} if where else {}
    owner = owner_of(who, known, {}, Town(unheard=frozenset({ALICE})))
    assert (owner.user, owner.source, owner.disputed) == ("unknown", Source.NONE, "")
    assert owner.container_id == (ID if where else "")


def test_what_needs_no_account_is_named_while_the_directory_service_says_nothing() -> None:
    away = Town(unheard=frozenset(NAMES))
    who, leased = process(ID, uid=ALICE), {LEASE.token: LEASE}
    assert owner_of(who, {ID: container(labels=LABQ)}, leased, away).user == "alice"
    assert owner_of(who, {ID: container(labels=stamped("bob", nonce="0" * 32))}, {}, away, KEY).user == "bob"
    assert owner_of(who, {ID: container(labels=labelled("carol"))}, {}, away).user == "carol"


# which container


def test_a_container_inside_a_container_is_charged_as_the_one_that_an_engine_knows() -> None:
    owner = named(process(INNER, ID), container(mounts=("/home/alice",)))
    assert (owner.user, owner.container_id) == ("alice", ID)


def test_the_innermost_of_two_known_containers_is_charged_and_the_other_person_named() -> None:
    inner, outer = container(INNER, labels=labelled("alice")), container(mounts=("/home/bob",))
    owner = named(process(INNER, ID), inner, outer)
    assert (owner.user, owner.container_id) == ("alice", INNER)
    assert owner.disputed == "it is charged to alice, but runs inside container name-a, which is bob's"
    assert named(process(INNER, ID), inner, container(mounts=("/home/alice",))).disputed == ""


def test_a_cgroup_that_a_user_made_does_not_put_him_into_anothers_container() -> None:
    mallory = process(ID, uid=BOB, slice_uid=BOB, delegated=BOB, runtime="docker")
    owner = named(mallory, container(mounts=("/home/alice",), labels=LABQ), leases=(LEASE,))
    assert (owner.user, owner.source, owner.container_id, owner.job) == ("bob", Source.UID, "", "")
    assert (
        owner.disputed
        == f"its cgroup names container {ID[:12]}, but the user whom it runs as made that cgroup"
    )


def test_a_users_own_engine_does_not_speak_of_containers_outside_his_session() -> None:
    assert answer(process(ID), container(engine=BOB, labels=labelled("alice"))) == (
        "unknown",
        Source.NONE,
        "",
    )
    inside = process(ID, uid=200001, slice_uid=BOB, delegated=BOB)
    assert answer(inside, container(engine=BOB)) == ("bob", Source.USERSLICE, "")


def test_a_copied_seal_is_worth_nothing_later_even_when_the_original_has_gone() -> None:
    owner = named(
        process(ID),
        container(created=1_000_000.0, labels=stamped("alice", nonce=f"{1_000_000 - 3600:08x}" + "0" * 24)),
        key=KEY,
    )
    assert (owner.user, owner.source) == ("alice", Source.LABEL)  # a mere label
    assert "another time" in owner.disputed
    owner = named(
        process(ID),
        container(created=1_000_000.0, labels=stamped("alice", nonce=new_nonce(999_990.0))),
        key=KEY,
    )
    assert (owner.user, owner.source, owner.disputed) == ("alice", Source.PROXY, "")
