"""What engines answer, as ContainerFacts; and which containers are remembered."""

from typing import Any

import pytest

from labq.holding.containers import facts_of_inspected, facts_of_listed
from labq.holding.facts import ContainerFacts, Mount
from labq.holding.register import KEPT, Register
from labq.holding.seal import OWNER_LABEL, STAMP_LABEL

ID, OTHER = "a" * 64, "b" * 64


def listed(key: str = ID, state: str = "running", name: str = "brave_curie", **more: Any) -> dict[str, Any]:
    return {
        "Id": key,
        "Names": [f"/{name}"],
        "Image": "pytorch:2",
        "ImageID": "sha256:1",
        "State": state,
    } | more


def inspected(key: str = ID, *, user: str = "", status: str = "running", **labels: str) -> dict[str, Any]:
    return {
        "Id": key,
        "Name": "/brave_curie",
        "Created": "2026-01-02T03:04:05.123456789Z",
        "Image": "sha256:1",
        "State": {"Status": status},
        "Config": {"Image": "pytorch:2", "User": user, "Labels": labels},
        "Mounts": [
            {"Type": "bind", "Source": "/home/alice", "Mode": "", "RW": True},
            {"Type": "volume", "Source": "/var/lib/docker/volumes/v/_data", "RW": True},
            {"Type": "bind", "Source": "/data", "Mode": "ro,Z", "RW": False},
        ],
    }


def image(user: str | None = "", **labels: str) -> dict[str, Any]:
    return {"Config": {"User": user, "Labels": labels or None}}


def test_an_item_of_a_list_is_read() -> None:
    item = listed(
        Created=1700000000,
        Labels={"x": "y"},
        Mounts=[{"Type": "bind", "Source": "/home/alice"}, {"Type": "bind"}],
    )
    assert facts_of_listed(item) == ContainerFacts(
        ID, "brave_curie", "pytorch:2", {"x": "y"}, (Mount("/home/alice"),), 1700000000.0
    )


def test_an_inspection_is_read() -> None:
    assert facts_of_inspected(inspected(x="y"), image(), engine_uid=1001) == ContainerFacts(
        ID,
        "brave_curie",
        "pytorch:2",
        {"x": "y"},
        (Mount("/data"), Mount("/home/alice", writable=True)),
        1767323045.123456,
        None,
        1001,
    )


@pytest.mark.parametrize("answer", [{"Id": ID}, {"Id": ID, "Config": None, "Mounts": None, "Labels": None}])
def test_an_answer_may_lack_anything(answer: dict[str, Any]) -> None:
    assert facts_of_inspected(answer, None) == ContainerFacts(ID, "", "")
    assert facts_of_listed(answer) == ContainerFacts(ID, "", "")


def test_letters_that_nobody_can_print_are_replaced_wherever_an_engine_says_them() -> None:
    answer = inspected(key=ID, **{OWNER_LABEL: "al\ud800ice"}) | {
        "Name": "/na\udcffme",
        "Mounts": [{"Type": "bind", "Source": "/home/\udfff", "RW": True}],
    }
    answer["Config"]["Image"] = "im\ud800age"
    facts = facts_of_inspected(answer, image())
    assert (facts.name, facts.image, facts.labels) == ("na�me", "im�age", {OWNER_LABEL: "al�ice"})
    assert facts.mounts == (Mount("/home/�", writable=True),)
    register = Register()
    register.inspected(answer, image(), 1.0)
    register.renamed(ID, "/again\ud800")
    assert register.known()[ID].name == "again�"
    listing = facts_of_listed(listed(name="x\ud800", Labels={"k\ud800": "\udc80"}))
    assert (listing.name, listing.labels) == ("x�", {"k�": "�"})


@pytest.mark.parametrize(
    ("created", "seconds"),
    [
        ("2026-01-02T03:04:05Z", 1767323045.0),
        ("2026-01-02T03:04:05.5Z", 1767323045.5),
        ("2026-01-02T12:04:05.25+09:00", 1767323045.25),
        ("yesterday", 0.0),
        (None, 0.0),
    ],
)
def test_times_of_several_engines_are_read(created: object, seconds: float) -> None:
    assert facts_of_inspected({"Id": ID, "Created": created}, None).created == seconds


@pytest.mark.parametrize(
    ("user", "of_image", "asked"),
    [
        ("1001", "", 1001),
        ("1001:1001", "", 1001),
        ("1001:docker", "1000", 1001),
        ("0", "1000", 0),
        ("1000", "1000", None),  # the image says so itself: jupyter's jovyan
        ("1000:100", "1000:1000", None),
        ("1000", "jovyan", 1000),
        ("", "", None),
        ("alice", "", None),  # the image's alice, not the host's
        ("99999999999", "", None),
        ("4294967295", "", None),
        ("-1", "", None),
        ("١٠٠٠", "", None),
    ],
)
def test_a_uid_was_asked_for_only_when_the_image_does_not_say_it_itself(
    user: str, of_image: str, asked: int | None
) -> None:
    assert facts_of_inspected(inspected(user=user), image(of_image)).asked_uid == asked


def test_no_uid_was_asked_for_when_the_image_is_unknown() -> None:
    assert facts_of_inspected(inspected(user="1001"), None).asked_uid is None


def test_labels_that_the_image_carries_say_nothing_about_who_started_it() -> None:
    answer = inspected(**{OWNER_LABEL: "alice", "labq.lease": "1", "mine": "x"})
    baked = image(**{OWNER_LABEL: "alice", "labq.lease": "1", "mine": "y"})
    assert facts_of_inspected(answer, baked).labels == {"mine": "x"}


def test_a_stamp_of_its_own_keeps_the_owner_that_its_image_has_too() -> None:
    answer = inspected(**{OWNER_LABEL: "alice", STAMP_LABEL: "new"})
    baked = image(**{OWNER_LABEL: "alice", STAMP_LABEL: "old"})
    assert facts_of_inspected(answer, baked).labels == {OWNER_LABEL: "alice", STAMP_LABEL: "new"}


def test_a_container_is_inspected_once() -> None:
    register = Register()
    assert register.listed([listed()], 1.0, 1.1) == [ID]
    assert register.known() == {}
    register.inspected(inspected(x="y"), image(), 1.2)
    assert register.listed([listed()], 61.0, 61.1) == []
    assert register.known()[ID].labels == {"x": "y"}


def test_one_that_cannot_be_inspected_is_shown_as_listed_and_asked_for_again() -> None:
    register = Register()
    register.listed([listed()], 1.0, 1.1)
    register.refused(ID)
    assert register.known()[ID].name == "brave_curie"
    assert register.listed([listed()], 61.0, 61.1) == [ID]


def test_a_new_name_is_taken_from_a_list_and_from_an_event() -> None:
    register = Register()
    register.inspected(inspected(), image(), 1.0)
    register.renamed(ID, "/second")
    assert register.known()[ID].name == "second"
    register.listed([listed(name="third")], 2.0, 2.1)
    assert register.known()[ID].name == "third"


def test_one_that_is_gone_is_known_for_ten_minutes() -> None:
    register = Register()
    register.inspected(inspected(), image(), 1.0)
    register.removed(ID, 10.0)
    register.listed([], 10.0 + KEPT, 10.0 + KEPT)
    assert ID in register.known()
    register.listed([], 11.0 + KEPT, 11.0 + KEPT)
    assert register.known() == {}


def test_one_that_a_list_misses_is_gone_unless_it_is_younger_than_the_question() -> None:
    register = Register()
    register.inspected(inspected(), image(), 5.0)
    register.inspected(inspected(OTHER), image(), 7.0)
    register.listed([], 6.0, 8.0)
    register.listed([listed(OTHER)], 9.0 + KEPT, 9.0 + KEPT)
    assert list(register.known()) == [OTHER]


def test_one_that_never_ran_is_forgotten_at_once() -> None:
    register = Register()
    register.inspected(inspected(status="created"), image(), 1.0)
    register.inspected(inspected(OTHER, status="created"), image(), 1.0)
    assert register.started(OTHER, 2.0)
    register.removed(ID, 3.0)
    register.removed(OTHER, 3.0)
    assert list(register.known()) == [OTHER]


def test_a_start_of_an_unknown_container_wants_an_inspection() -> None:
    assert not Register().started(ID, 1.0)


def test_what_was_handed_out_is_not_changed_afterwards() -> None:
    register = Register()
    register.inspected(inspected(), image(), 1.0)
    before = register.known()
    register.inspected(inspected(OTHER), image(), 1.0)
    assert list(before) == [ID]
