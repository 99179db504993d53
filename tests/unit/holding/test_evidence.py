"""Who is charged by words and by evidence, and what is said when a container claims what is not true."""

from __future__ import annotations

from typing import Any

import pytest
from support.town import (
    ALICE,
    BOB,
    COMPOSE,
    DEVCONTAINER,
    ID,
    INNER,
    answer,
    container,
    labelled,
    named,
    process,
)

from labq.holding.facts import ContainerFacts, Source

# 3 label


def test_an_owner_label_is_believed_when_nothing_says_otherwise() -> None:
    assert answer(process(ID), container(labels=labelled("alice"))) == ("alice", Source.LABEL, "")
    honest = container(mounts=("/home/alice/x",), asked=ALICE, labels=labelled("alice"))
    assert answer(process(ID, uid=ALICE), honest) == ("alice", Source.LABEL, "")


@pytest.mark.parametrize(
    ("forged", "source", "words"),
    [
        (
            container(mounts=("/home/bob",), labels=labelled("alice")),
            Source.MOUNT,
            "its mounted home is bob's",
        ),
        (container(asked=BOB, labels=labelled("alice")), Source.UID, "the uid it was started with is bob's"),
        (container(engine=BOB, labels=labelled("alice")), Source.USERSLICE, "its engine is bob's"),
    ],
)
def test_evidence_wins_over_an_owner_label(forged: ContainerFacts, source: Source, words: str) -> None:
    who = process(ID, delegated=forged.engine_uid or None)
    assert answer(who, forged) == ("bob", source, f"its label says alice, but {words}")


def test_the_login_of_a_podman_container_wins_over_its_label() -> None:
    who = process(ID, login=BOB, runtime="libpod")
    disputed = "its label says alice, but the login it was started from is bob's"
    assert answer(who, container(labels=labelled("alice"))) == ("bob", Source.LOGINUID, disputed)


def test_two_mounted_homes_disprove_no_label() -> None:
    shared = container(mounts=("/home/bob", "/home/carol"), labels=labelled("alice"))
    assert answer(process(ID), shared) == ("alice", Source.LABEL, "")


def test_a_label_and_a_directory_that_disagree_are_told() -> None:
    user, source, disputed = answer(process(ID), container(labels=labelled("alice", **{COMPOSE: "/srv/bob"})))
    assert (user, source) == ("alice", Source.LABEL)
    assert disputed == "its label says alice, but its compose directory is bob's"


@pytest.mark.parametrize(
    "name", ["", "root", "unknown", "-x", "a b", 'a"b', "a\nb", "uid:7", "x" * 65, "ａlice"]
)
def test_a_label_that_is_no_name_is_ignored_and_quoted(name: str) -> None:
    user, source, disputed = answer(process(ID), container(labels=labelled(name)))
    assert (user, source) == ("unknown", Source.NONE)
    assert disputed.startswith("its label says '")
    assert "\n" not in disputed
    assert len(disputed) < 120


# 4 workdir


@pytest.mark.parametrize("key", [COMPOSE, DEVCONTAINER])
def test_a_project_is_the_owner_of_its_directory(key: str) -> None:
    assert answer(process(ID), container(labels={key: "/home/alice/p"})) == ("alice", Source.WORKDIR, "")


def test_a_directory_that_proves_nothing_leaves_the_other_its_say() -> None:
    both = {COMPOSE: "/srv/nobody", DEVCONTAINER: "/srv/alice"}
    assert answer(process(ID), container(labels=both)) == ("alice", Source.WORKDIR, "")


def test_evidence_wins_over_a_directory_which_is_but_a_label() -> None:
    forged = container(mounts=("/home/bob",), labels={COMPOSE: "/home/alice/p"})
    disputed = "its compose directory is alice's, but its mounted home is bob's"
    assert answer(process(ID), forged) == ("bob", Source.MOUNT, disputed)


# 5 mount


def test_the_one_mounted_home_names_its_owner() -> None:
    assert answer(process(ID), container(mounts=("/data", "/home/alice", "/home/bob/imagenet:ro"))) == (
        "alice",
        Source.MOUNT,
        "",
    )


def test_two_mounted_homes_name_nobody() -> None:
    assert answer(process(ID), container(mounts=("/home/alice", "/home/bob"))) == ("unknown", Source.NONE, "")


@pytest.mark.parametrize(
    ("who", "home", "source", "disputed"),
    [
        (
            container(asked=ALICE, mounts=("/home/bob",)),
            "bob",
            Source.MOUNT,
            "its mounted home is bob's, but the uid it was started with is alice's",
        ),
        (
            container(asked=ALICE, mounts=("/home/bob",), labels=labelled("alice")),
            "alice",
            Source.LABEL,
            "its label says alice, but its mounted home is bob's",
        ),
        (
            container(asked=ALICE, mounts=("/home/bob",), labels={COMPOSE: "/srv/alice"}),
            "alice",
            Source.WORKDIR,
            "its compose directory is alice's, but its mounted home is bob's",
        ),
        (
            container(asked=ALICE, mounts=("/home/bob",), labels=labelled("carol")),
            "bob",
            Source.MOUNT,
            "its label says carol, but its mounted home is bob's; "
            "its label says carol, but the uid it was started with is alice's",
        ),
    ],
)
def test_hard_evidence_that_contradicts_itself_is_told_and_may_support_a_word(
    who: ContainerFacts, home: str, source: Source, disputed: str
) -> None:
    assert answer(process(ID, uid=ALICE), who) == (home, source, disputed)


def test_a_number_that_was_asked_for_and_the_login_of_podman_may_be_two_peoples() -> None:
    who = process(ID, uid=ALICE, login=BOB, runtime="libpod")
    disputed = "the uid it was started with is alice's, but the login it was started from is bob's"
    assert answer(who, container(asked=ALICE)) == ("alice", Source.UID, disputed)


# 6 uid


def test_a_process_outside_containers_is_its_uids() -> None:
    assert answer(process(uid=ALICE, login=BOB, slice_uid=BOB)) == ("alice", Source.UID, "")


def test_a_uid_in_a_container_counts_only_when_it_was_asked_for() -> None:
    assert answer(process(ID, uid=ALICE), container(asked=ALICE)) == ("alice", Source.UID, "")
    assert answer(process(ID, uid=ALICE), container()) == ("unknown", Source.NONE, "")
    assert answer(process(ID, uid=ALICE), container(asked=BOB)) == ("unknown", Source.NONE, "")
    assert answer(process(ID, uid=ALICE)) == ("unknown", Source.NONE, "")


def test_a_uid_that_was_asked_for_is_the_containers_own_where_uids_are_remapped() -> None:
    remapped = process(ID, uid=200000 + ALICE)
    assert answer(remapped, container(asked=ALICE, labels=labelled("carol"))) == ("carol", Source.LABEL, "")
    assert answer(remapped, container(asked=ALICE)) == ("bob", Source.SUBUID, "")


# 7 loginuid


def test_a_root_process_is_the_persons_who_logged_in() -> None:
    assert answer(process(uid=0, login=ALICE)) == ("alice", Source.LOGINUID, "")
    assert answer(process(ID, login=ALICE, runtime="libpod")) == ("alice", Source.LOGINUID, "")
    assert answer(process(ID, login=ALICE, runtime="libpod"), container()) == ("alice", Source.LOGINUID, "")


def test_the_login_of_a_docker_container_is_that_of_whoever_started_the_daemon() -> None:
    assert answer(process(ID, login=ALICE), container()) == ("unknown", Source.NONE, "")
    assert answer(process(ID, login=ALICE, runtime="docker")) == ("unknown", Source.NONE, "")
    assert answer(process(INNER, ID, login=ALICE, runtime="libpod"), container()) == (
        "unknown",
        Source.NONE,
        "",
    )


# 8 userslice and 9 subuid


def test_a_session_and_a_range_of_uids_name_their_owner() -> None:
    assert answer(process(slice_uid=ALICE)) == ("alice", Source.USERSLICE, "")
    assert answer(process(ID, slice_uid=ALICE, delegated=ALICE, runtime="libpod")) == (
        "alice",
        Source.USERSLICE,
        "",
    )
    assert answer(process(uid=100007)) == ("alice", Source.SUBUID, "")
    assert answer(process(ID, uid=100007)) == ("alice", Source.SUBUID, "")
    assert answer(process(slice_uid=0)) == ("unknown", Source.NONE, "")


# 10 data


@pytest.mark.parametrize("mount", ["/home/bob/imagenet:ro", "/home/bob/imagenet", "/home/bob:ro"])
@pytest.mark.parametrize(
    ("more", "source"),
    [
        ({"labels": labelled("alice"), "asked": ALICE}, Source.LABEL),
        ({"labels": labelled("alice")}, Source.LABEL),
        ({"labels": {COMPOSE: "/home/alice/p"}}, Source.WORKDIR),
        ({"asked": ALICE}, Source.UID),
    ],
)
def test_who_mounts_a_colleagues_data_set_is_charged_himself_and_nothing_is_disputed(
    mount: str, more: dict[str, Any], source: Source
) -> None:
    assert answer(process(ID, uid=ALICE), container(mounts=(mount,), **more)) == ("alice", source, "")


def test_a_login_a_session_and_a_range_of_uids_say_more_than_a_data_set() -> None:
    who = container(mounts=("/home/bob/imagenet",))
    assert answer(process(ID, login=ALICE, runtime="libpod"), who) == ("alice", Source.LOGINUID, "")
    assert answer(process(ID, slice_uid=ALICE), who) == ("alice", Source.USERSLICE, "")
    assert answer(process(ID, uid=100007), who) == ("alice", Source.SUBUID, "")


def test_a_project_that_is_mounted_names_its_owner_when_nothing_else_names_anybody() -> None:
    alone = container(mounts=("/home/alice/project", "/srv"))
    assert answer(process(ID), alone) == ("alice", Source.DATA, "")
    # What is written to says more than what is only read.
    with_data = container(mounts=("/home/alice/project", "/home/bob/imagenet:ro"))
    assert answer(process(ID), with_data) == ("alice", Source.DATA, "")
    assert answer(process(ID), container(mounts=("/home/bob/x:ro",))) == ("bob", Source.DATA, "")


def test_data_sets_of_two_people_name_nobody() -> None:
    for mounts in (("/home/alice/a", "/home/bob/b"), ("/home/alice/a:ro", "/home/bob:ro")):
        assert answer(process(ID), container(mounts=mounts)) == ("unknown", Source.NONE, "")


def test_a_data_set_names_nobody_against_the_uid_that_was_asked_for() -> None:
    # Asked for alice, and root meanwhile: nothing says whose it is, and it is surely not bob's.
    assert answer(process(ID), container(asked=ALICE, mounts=("/home/bob/x",))) == (
        "unknown",
        Source.NONE,
        "",
    )


def test_a_data_set_of_an_outer_container_disputes_nothing() -> None:
    inner, outer = container(INNER, labels=labelled("alice")), container(mounts=("/home/bob/imagenet:ro",))
    assert named(process(INNER, ID), inner, outer).disputed == ""
