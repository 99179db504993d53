"""Who is charged, and what is said when a container claims what is not true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from labq.holding.facts import CgroupFacts, ContainerFacts, LeaseFacts, Mount, Owner, ProcessFacts, Source
from labq.holding.owners import RULES, owner_of
from labq.holding.patience import NoAnswerYetError
from labq.holding.seal import OWNER_LABEL, STAMP_LABEL, new_nonce, seal
from labq.wire import LABEL_ATTEMPT, LABEL_JOB, LABEL_LEASE, LABEL_OWNER

ID, OTHER, INNER = "a" * 64, "b" * 64, "c" * 64
KEY = bytes(32)
COMPOSE, DEVCONTAINER = "com.docker.compose.project.working_dir", "devcontainer.local_folder"
ALICE, BOB, CAROL = 1001, 1002, 1003
NAMES = {ALICE: "alice", BOB: "bob", CAROL: "carol"}
LEASE = LeaseFacts("token", "12", 2, "alice")
LABQ = {LABEL_JOB: "12", LABEL_ATTEMPT: "2", LABEL_LEASE: "token", LABEL_OWNER: "alice"}


@dataclass
class Town:
    """Three people with a home and 65536 subordinate uids each; directories are owned by who is named in them."""

    names: Mapping[int, str] = field(default_factory=lambda: NAMES)
    #: uids of which the directory service has not said anything yet
    unheard: frozenset[int | None] = frozenset()

    def person(self, uid: int | None) -> str | None:
        if uid in self.unheard:
            raise NoAnswerYetError
        return self.names.get(uid or 0)

    def subuid_owner(self, uid: int) -> str | None:
        return self.names.get(1000 + uid // 100000) if uid >= 100000 else None

    def home_owner(self, path: str) -> str | None:
        return next((name for name in self.names.values() if path.startswith(f"/home/{name}")), None)

    def whole_home_owner(self, path: str) -> str | None:
        return next((name for name in self.names.values() if path == f"/home/{name}"), None)

    def directory_owner(self, path: str) -> str | None:
        return next((name for name in self.names.values() if name in path.split("/")), None)


def process(
    *ids: str, uid: int = 0, login: int | None = None, slice_uid: int | None = None, runtime: str = "",
    delegated: int | None = None,
) -> ProcessFacts:  # fmt: skip
    return ProcessFacts(7, 1, 1.0, uid, login, CgroupFacts(ids, slice_uid, runtime, delegated))


def container(
    key: str = ID, *, mounts: tuple[str, ...] = (), asked: int | None = None, created: float = 1.0,
    engine: int = 0, labels: Mapping[str, str] | None = None,
) -> ContainerFacts:  # fmt: skip
    bound = tuple(Mount(path.removesuffix(":ro"), not path.endswith(":ro")) for path in mounts)
    return ContainerFacts(key, f"name-{key[0]}", "pytorch", labels or {}, bound, created, asked, engine)


def named(
    who: ProcessFacts | None,
    *found: ContainerFacts,
    leases: tuple[LeaseFacts, ...] = (),
    key: bytes | None = KEY,
) -> Owner:
    return owner_of(
        who, {each.id: each for each in found}, {lease.token: lease for lease in leases}, Town(), key
    )


def answer(who: ProcessFacts, *found: ContainerFacts) -> tuple[str, Source, str]:
    owner = named(who, *found)
    return owner.user, owner.source, owner.disputed


def labelled(owner: str, **more: str) -> dict[str, str]:
    return {OWNER_LABEL: owner} | more


def stamped(owner: str, nonce: str = "0" * 32, key: bytes = KEY) -> dict[str, str]:
    return {OWNER_LABEL: owner, STAMP_LABEL: seal(key, nonce, owner)}


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
