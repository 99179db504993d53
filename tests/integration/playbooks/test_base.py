"""The role base as ansible plays it on this machine, whose /etc is a copy: people, their numbers and their keys."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.private_etc import PrivateEtc

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKann ann"
PEOPLE = [
    {"ansible.builtin.import_role": {"name": "base", "tasks_from": part}} for part in ("check.yml", "users.yml")
]  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> PrivateEtc:
    """One person has an account there: old, 4001."""
    made = PrivateEtc(tmp_path)
    assert made.run("groupadd", "-g", "4001", "old").returncode == 0
    assert (
        made.run("useradd", "-u", "4001", "-g", "4001", "-d", made.homes / "old", "-m", "old").returncode == 0
    )
    return made


def play(machine: PrivateEtc, *people: dict[str, Any], **more: object) -> subprocess.CompletedProcess[str]:
    return machine.play(
        PEOPLE, {"base_users": people, "base_home_root": str(machine.homes), **more}, "--tags", "all"
    )


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stdout.split())


def test_people_are_made_with_their_numbers_and_a_second_run_changes_nothing(machine: PrivateEtc) -> None:
    ann = {"name": "ann", "uid": 4100, "gid": 4200, "ssh_keys": [KEY]}
    groups = [{"name": "lab", "gid": 4200}]
    first = play(machine, ann, base_groups=groups)
    assert first.returncode == 0, first.stdout
    assert machine.run("id", "ann").stdout.split()[:2] == ["uid=4100(ann)", "gid=4200(lab)"]
    assert KEY in (machine.homes / "ann/.ssh/authorized_keys").read_text()
    assert "changed=0" in play(machine, ann, base_groups=groups).stdout


@pytest.mark.parametrize(
    ("person", "groups", "told"),
    [
        ({"name": "ann", "uid": 4001}, [], "uid 4001 of ann in base_users: on localhost it is old's"),
        ({"name": "old", "uid": 4002}, [], "uid 4002 of old in base_users: on localhost old has 4001"),
        ({"name": "ann", "uid": 4003, "gid": 4001}, [], "gid 4001 of group ann in base_users: on localhost it is old's"),
        ({"name": "ann", "uid": 4003, "gid": 4004}, [{"name": "old", "gid": 4004}], "gid 4004 of group old in base_groups: on localhost old has 4001"),
    ],
)  # fmt: skip
def test_a_number_that_is_somebody_elses_is_told_before_anything_is_changed(
    machine: PrivateEtc, person: dict[str, Any], groups: list[dict[str, Any]], told: str
) -> None:
    before = (machine.etc / "passwd").read_text()
    done = play(machine, {"name": "first", "uid": 4900}, person, base_groups=groups)
    assert done.returncode == 2
    assert told in said(done)
    assert "changed=0" in done.stdout
    assert (machine.etc / "passwd").read_text() == before


def test_keys_in_the_second_file_that_sshd_reads_are_removed_too(machine: PrivateEtc) -> None:
    folder = machine.homes / "old/.ssh"
    folder.mkdir()
    (folder / "authorized_keys2").write_text(KEY)
    assert play(machine, {"name": "old", "uid": 4001}).returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == ["authorized_keys"]


def test_who_left_keeps_no_key_and_takes_none_of_others_along(machine: PrivateEtc, tmp_path: Path) -> None:
    others = tmp_path / "root-ssh"
    others.mkdir()
    (others / "authorized_keys").write_text(KEY)
    (machine.homes / "old/.ssh").symlink_to(others)
    gone = {"name": "old", "uid": 4001, "state": "absent"}
    done = play(machine, gone)
    assert done.returncode == 0, done.stdout
    assert (others / "authorized_keys").read_text() == KEY
    assert "/usr/sbin/nologin" in machine.run("getent", "passwd", "old").stdout
    (machine.homes / "old/.ssh").unlink()
    (machine.homes / "old/.ssh").mkdir()
    for name in ("authorized_keys", "authorized_keys2"):
        (machine.homes / "old/.ssh" / name).write_text(KEY)
    assert play(machine, gone).returncode == 0
    assert list((machine.homes / "old/.ssh").iterdir()) == []
