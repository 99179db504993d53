"""Whose process is it outside of Docker: uids, logins, sessions, ranges of uids, podman."""

import os
from pathlib import Path

from support.machine import Machine
from support.waiting import wait_for

from labq.holding.facts import Source


def test_a_persons_process_is_that_persons(machine: Machine) -> None:
    alice = machine.people.alice
    owner = machine.owner(machine.as_person(alice))
    assert (owner.user, owner.source, owner.container_id) == (alice.name, Source.UID, "")


def test_roots_and_services_processes_are_nobodys(machine: Machine) -> None:
    assert machine.owner(machine.process()).source == Source.NONE
    assert machine.owner(machine.process("setpriv", "--reuid=65534", "--clear-groups")).source == Source.NONE
    assert machine.owner(machine.process("setpriv", "--reuid=1", "--clear-groups")).source == Source.NONE


def test_a_process_under_sudo_is_the_persons_who_logged_in(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    sudo = machine.logged_in(alice)
    assert os.stat(f"/proc/{sudo}").st_uid == 0
    owner = machine.owner(sudo)
    assert (owner.user, owner.source) == (alice.name, Source.LOGINUID)
    switched = machine.owner(machine.logged_in(alice, "setpriv", f"--reuid={bob.uid}", "--clear-groups"))
    assert (switched.user, switched.source) == (bob.name, Source.UID)


def test_a_session_names_its_user(machine: Machine) -> None:
    alice = machine.people.alice
    pid = machine.process()
    machine.in_cgroup(f"/user.slice/user-{alice.uid}.slice/session-5.scope", pid)
    owner = machine.owner(pid)
    assert (owner.user, owner.source) == (alice.name, Source.USERSLICE)


def test_a_uid_of_a_persons_range_is_that_persons(machine: Machine) -> None:
    bob = machine.people.bob
    pid = machine.process("setpriv", f"--reuid={bob.subuid + 1000}", "--clear-groups")
    owner = machine.owner(pid)
    assert (owner.user, owner.source) == (bob.name, Source.SUBUID)


def test_an_unknown_rootless_container_is_its_sessions(machine: Machine) -> None:
    bob = machine.people.bob
    pid = machine.process("setpriv", f"--reuid={bob.subuid}", "--clear-groups")
    manager = f"/user.slice/user-{bob.uid}.slice/user@{bob.uid}.service"
    machine.in_cgroup(f"{manager}/user.slice/libpod-{'e' * 64}.scope/container", pid)
    owner = machine.owner(pid)
    assert (owner.user, owner.source, owner.container_id) == (bob.name, Source.USERSLICE, "e" * 64)


def test_a_user_cannot_put_himself_into_anothers_container(machine: Machine) -> None:
    alice, bob = machine.people.alice, machine.people.bob
    container = machine.container("-u", str(alice.uid), "-v", f"{alice.home}:/a")
    pid = machine.as_person(bob)
    # What bob may do with cgroups of his own below his service manager.
    machine.in_cgroup(
        f"/user.slice/user-{bob.uid}.slice/user@{bob.uid}.service/docker-{container}.scope", pid
    )
    owner = machine.owner(pid)
    assert (owner.user, owner.source, owner.container_id) == (bob.name, Source.UID, "")
    assert owner.disputed.startswith(f"its cgroup names container {container[:12]}")


def test_a_login_inside_a_docker_container_is_nobodys(machine: Machine) -> None:
    """Containers inherit the login of the daemon, which is an admin's where one started it by hand."""
    alice = machine.people.alice
    container = machine.container()
    command = f"echo {alice.uid} > /proc/self/loginuid && exec sleep 602"
    machine.engine.docker("exec", "-d", container, "sh", "-c", command)

    def sleeping() -> list[int]:
        top = machine.engine.client.api.top(container)["Processes"]
        return [int(row[1]) for row in top if row[-1] == "sleep 602"]

    pid = wait_for(sleeping, 10, "the exec to sleep")[0]
    assert Path(f"/proc/{pid}/loginuid").read_text() == str(alice.uid)
    owner = machine.owner(pid)
    assert (owner.user, owner.source, owner.container_id) == ("unknown", Source.NONE, container)
