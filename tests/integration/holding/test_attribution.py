"""Whose container is it: real people, a real engine, real /proc. One test or more for each rule and each forgery."""

import os
from pathlib import Path

import pytest
from support.engine import BUSYBOX
from support.machine import Machine
from support.people import Person

from labq.clock import now
from labq.holding.facts import LeaseFacts, Source
from labq.holding.seal import OWNER_LABEL, STAMP_LABEL, new_nonce, seal
from labq.wire import LABEL_ATTEMPT, LABEL_JOB, LABEL_LEASE, LABEL_OWNER

COMPOSE, DEVCONTAINER = "com.docker.compose.project.working_dir", "devcontainer.local_folder"
KEY = b"k" * 32


def labels(**values: str) -> list[str]:
    return [word for key, value in values.items() for word in ("--label", f"{key}={value}")]


def project(person: Person, name: str = "project") -> str:
    made = person.home / name
    made.mkdir(exist_ok=True)
    os.chown(made, person.uid, -1)
    return str(made)


def test_what_others_call_root_is_called_unknown_with_its_container(machine: Machine) -> None:
    container = machine.container("--name", "brave_curie")
    owner = machine.owner(machine.pid(container))
    assert (owner.user, owner.source, owner.disputed) == ("unknown", Source.NONE, "")
    assert (owner.container_id, owner.container, owner.image) == (container, "brave_curie", BUSYBOX)


def test_a_number_that_was_asked_for_is_a_person(machine: Machine) -> None:
    alice = machine.people.alice
    owner = machine.of_container("-u", f"{alice.uid}:{alice.uid}")
    assert (owner.user, owner.source) == (alice.name, Source.UID)


def test_a_number_that_the_image_says_itself_is_nobody(machine: Machine, scratch: Path) -> None:
    alice = machine.people.alice
    (scratch / "Dockerfile").write_text(f"FROM {BUSYBOX}\nUSER {alice.uid}\n")
    image = f"labq-test/user-{alice.uid}"
    machine.engine.docker("build", "-q", "-t", image, str(scratch))
    try:
        container = machine.container(image=image)
        pid = machine.pid(container)
        assert os.stat(f"/proc/{pid}").st_uid == alice.uid
        owner = machine.owner(pid)
        assert (owner.user, owner.source) == ("unknown", Source.NONE)
        asked = machine.of_container("-u", str(machine.people.bob.uid), image=image)
        assert (asked.user, asked.source) == (machine.people.bob.name, Source.UID)
    finally:
        machine.engine.remove_containers()
        machine.engine.docker("rmi", "-f", image)


def test_the_mounted_home_names_its_owner(machine: Machine) -> None:
    alice = machine.people.alice
    owner = machine.of_container("-v", f"{alice.home}:/work", "-v", "/srv:/data:ro")
    assert (owner.user, owner.source) == (alice.name, Source.MOUNT)


def test_who_reads_a_colleagues_data_set_is_charged_himself(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    for data in (
        f"{project(bob, 'imagenet')}:/data:ro",
        f"{project(bob, 'imagenet')}:/data",
        f"{bob.home}:/b:ro",
    ):
        asked = machine.of_container("-u", str(alice.uid), "-v", data)
        assert (asked.user, asked.source, asked.disputed) == (alice.name, Source.UID, "")
        label = machine.of_container("-u", str(alice.uid), "-v", data, *labels(**{OWNER_LABEL: alice.name}))
        assert (label.user, label.source, label.disputed) == (alice.name, Source.LABEL, "")
        compose = machine.of_container("-v", data, *labels(**{COMPOSE: project(alice)}))
        assert (compose.user, compose.source, compose.disputed) == (alice.name, Source.WORKDIR, "")
    work = machine.of_container("-v", f"{project(alice)}:/work", "-v", f"{project(bob, 'imagenet')}:/data:ro")
    assert (work.user, work.source, work.disputed) == (alice.name, Source.DATA, "")


def test_a_home_that_belongs_to_somebody_else_on_disk_names_nobody(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    os.chown(alice.home, bob.uid, -1)
    try:
        owner = machine.of_container("-v", f"{alice.home}:/work")
    finally:
        os.chown(alice.home, alice.uid, -1)
    assert (owner.user, owner.source) == ("unknown", Source.NONE)


def test_a_link_into_anothers_home_names_nobody(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    link = bob.home / "mine"
    link.symlink_to(project(alice))
    os.lchown(link, bob.uid, bob.uid)
    owner = machine.of_container("-v", f"{link}:/work")
    assert (owner.user, owner.source) == ("unknown", Source.NONE)


def test_two_mounted_homes_name_nobody(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    owner = machine.of_container("-v", f"{alice.home}:/a", "-v", f"{bob.home}:/b")
    assert (owner.user, owner.source, owner.disputed) == ("unknown", Source.NONE, "")


@pytest.mark.parametrize("key", [COMPOSE, DEVCONTAINER])
def test_the_directory_of_a_project_names_its_owner(machine: Machine, key: str) -> None:
    alice = machine.people.alice
    owner = machine.of_container(*labels(**{key: project(alice)}))
    assert (owner.user, owner.source) == (alice.name, Source.WORKDIR)
    nowhere = machine.of_container(*labels(**{key: f"{alice.home}/never-made"}))
    assert (nowhere.user, nowhere.source) == ("unknown", Source.NONE)


def test_a_forged_directory_of_a_project_loses_against_the_mounted_home(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    owner = machine.of_container("-v", f"{bob.home}:/b", *labels(**{COMPOSE: project(alice)}))
    assert (owner.user, owner.source) == (bob.name, Source.MOUNT)
    assert owner.disputed == f"its compose directory is {alice.name}'s, but its mounted home is {bob.name}'s"


def test_an_owner_label_is_believed_until_evidence_says_otherwise(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    honest = machine.of_container(*labels(**{OWNER_LABEL: alice.name}))
    assert (honest.user, honest.source, honest.disputed) == (alice.name, Source.LABEL, "")
    forged = machine.of_container("-v", f"{bob.home}:/b", *labels(**{OWNER_LABEL: alice.name}))
    assert (forged.user, forged.source) == (bob.name, Source.MOUNT)
    assert forged.disputed == f"its label says {alice.name}, but its mounted home is {bob.name}'s"


def test_labels_that_a_committed_image_carries_charge_nobody(machine: Machine) -> None:
    first = machine.container(*labels(**{OWNER_LABEL: machine.people.alice.name}))
    image = "labq-test/committed"
    machine.engine.docker("commit", first, image)
    try:
        owner = machine.of_container(image=image)
        assert (owner.user, owner.source) == ("unknown", Source.NONE)
    finally:
        machine.engine.remove_containers()
        machine.engine.docker("rmi", "-f", image)


def test_the_queues_labels_count_with_their_lease_only(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    said = {LABEL_JOB: "12", LABEL_ATTEMPT: "1", LABEL_LEASE: "token-of-12", LABEL_OWNER: alice.name}
    leases = {"token-of-12": LeaseFacts("token-of-12", "12", 1, alice.name)}
    pid = machine.pid(machine.container(*labels(**said)))
    owner = machine.owner(pid, leases)
    assert (owner.user, owner.source, owner.job, owner.disputed) == (alice.name, Source.QUEUE, "12", "")
    without = machine.owner(pid)
    assert (without.user, without.source, without.job) == ("unknown", Source.NONE, "")
    assert without.disputed == "its labels say labq job '12', but no such lease exists"
    copy = machine.owner(machine.pid(machine.container("-v", f"{bob.home}:/b", *labels(**said))), leases)
    assert (copy.user, copy.source, copy.job) == (bob.name, Source.MOUNT, "")
    assert copy.disputed == "its labels are a copy of those of job 12"


def test_a_seal_holds_for_the_first_container_that_carries_it(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    said = labels(**{OWNER_LABEL: alice.name, STAMP_LABEL: seal(KEY, new_nonce(now()), alice.name)})
    first = machine.pid(machine.container("-v", f"{bob.home}:/b", *said))
    owner = machine.owner(first, key=KEY)
    assert (owner.user, owner.source, owner.disputed) == (alice.name, Source.PROXY, "")
    copy = machine.owner(machine.pid(machine.container("-v", f"{bob.home}:/b", *said)), key=KEY)
    assert (copy.user, copy.source) == (bob.name, Source.MOUNT)
    assert "its seal is a copy of another container's" in copy.disputed
    assert machine.owner(first, key=b"x" * 32).source == Source.MOUNT


def test_what_is_started_by_docker_exec_belongs_to_the_container(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    container = machine.container("-v", f"{alice.home}:/work")
    machine.engine.docker("exec", "-d", "-u", str(bob.uid), container, "sleep", "601")
    top = machine.engine.client.api.top(container)["Processes"]
    pids = [int(row[1]) for row in top if row[-1] == "sleep 601"]
    assert len(pids) == 1
    owner = machine.owner(pids[0])
    assert (owner.user, owner.source, owner.container_id) == (alice.name, Source.MOUNT, container)


def test_a_container_inside_another_is_charged_to_the_innermost_that_is_known(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    outer = machine.container("-v", f"{bob.home}:/b")
    inner = machine.container("-v", f"{alice.home}:/a", "--cgroup-parent", f"/docker/{outer}")
    owner = machine.owner(machine.pid(inner))
    assert (owner.user, owner.source, owner.container_id) == (alice.name, Source.MOUNT, inner)
    assert owner.disputed.endswith(f"which is {bob.name}'s")
    # An engine inside the outer one: nobody outside knows its containers.
    stranger = machine.process()
    machine.in_cgroup(f"/docker/{outer}/docker/{'f' * 64}", stranger)
    nested = machine.owner(stranger)
    assert (nested.user, nested.source, nested.container_id) == (bob.name, Source.MOUNT, outer)
