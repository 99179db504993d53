"""`labq inventory init`: what it writes is what ansible reads, and nothing that is there is overwritten."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path

import pytest
from integration.cli.test_terminal import Terminal
from support.provisioning import BIN


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LABQ_", "ANSIBLE_"))}
    return clean | {"LABQ_CONFIG": "/dev/null", "LABQ_LAB_DIR": str(tmp_path / "lab"), "NO_COLOR": "1"}


def init(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "labq"), "inventory", "init", *words], env=env, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, timeout=30,
    )  # fmt: skip


def as_ansible_reads_it(lab: Path, env: dict[str, str]) -> dict[str, dict[str, object]]:
    command = [str(BIN / "ansible-inventory"), "-i", str(lab / "inventory"), "--list"]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    assert "WARNING" not in done.stderr
    hosts: dict[str, dict[str, object]] = json.loads(done.stdout)["_meta"]["hostvars"]
    return hosts


def test_hosts_of_words_and_of_a_file_are_what_ansible_reads(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("gpu01 10.0.0.11\ngpu02\n")
    done = init(
        env, "--hosts", str(tmp_path / "hosts"), "gpu03=10.0.0.13:2222", "--user", "ops", "--control", "ctl"
    )
    assert done.returncode == 0, done.stderr
    lab = tmp_path / "lab"
    assert f"ssh-copy-id -p 2222 -i {lab}/ssh/id_ed25519.pub ops@10.0.0.13" in done.stdout
    hosts = as_ansible_reads_it(lab, env)
    assert set(hosts) == {"ctl", "gpu01", "gpu02", "gpu03"}
    assert hosts["ctl"]["ansible_connection"] == "local"
    assert (hosts["gpu01"]["ansible_host"], hosts["gpu03"]["ansible_port"]) == ("10.0.0.11", 2222)
    assert (hosts["gpu02"]["ansible_user"], hosts["gpu02"]["ansible_become"]) == ("ops", True)
    assert [path for path in lab.rglob("*") if path.stat().st_mode & 0o077 and path.suffix != ".pub"] == []
    assert lab.stat().st_mode & 0o777 == 0o700


def test_what_is_there_is_never_overwritten(env: dict[str, str], tmp_path: Path) -> None:
    assert init(env, "--hosts", "gpu01").returncode == 0
    key = (tmp_path / "lab" / "ssh" / "id_ed25519").read_bytes()
    again = init(env, "--hosts", "gpu02")
    assert (again.returncode, "lab.yml exists" in again.stderr) == (2, True)
    (tmp_path / "lab" / "inventory" / "lab.yml").unlink()
    other = init(env, "--hosts", "gpu01")
    assert "nodes/gpu01.yml exists" in other.stderr
    assert not (tmp_path / "lab" / "inventory" / "lab.yml").exists()
    assert init(env, "--hosts", "gpu02").returncode == 0
    assert (tmp_path / "lab" / "ssh" / "id_ed25519").read_bytes() == key


def test_without_flags_it_asks(env: dict[str, str], tmp_path: Path) -> None:
    terminal = Terminal([str(BIN / "labq"), "inventory", "init"], env, tmp_path)
    for question, answer in (
        ("name of this machine", b"ctl\n"),
        ("where nodes and people reach the server", b"http://10.0.0.1:7580\n"),
        ("to log in to the nodes as [root]: ", b"\n"),
        ("the first admin, an account here or NAME:UID:GID", b"no such account\n"),
        ("there is no account 'no such account' on this machine; write NAME:UID:GID", b"hana:1000:1001\n"),
        ("  node: ", b"gpu01 10.0.0.11\n"),
        ("gpu01 10.0.0.11\r\n  node: ", b"\n"),
    ):
        terminal.see(question)
        terminal.press(answer)
    terminal.see("labq provision control --here")
    assert terminal.end() == 0
    hosts = as_ansible_reads_it(tmp_path / "lab", env)
    assert (hosts["gpu01"]["ansible_host"], hosts["gpu01"]["ansible_user"]) == ("10.0.0.11", "root")
    assert hosts["ctl"]["labq_server"] == "http://10.0.0.1:7580"
    assert hosts["ctl"]["control_admin"] == {"name": "hana", "uid": 1000, "gid": 1001}
    assert "say who the first admin is" not in terminal.text


def test_a_machine_with_several_addresses_lists_them_and_says_which_it_took(
    env: dict[str, str], tmp_path: Path
) -> None:
    script = (
        "ip link set lo up; ip link add e0 type veth peer name e1; ip link add docker0 type veth peer name d1;"
        "ip addr add 10.9.0.1/24 dev e0; ip addr add 10.9.1.1/24 dev e1; ip addr add 172.17.0.1/16 dev docker0;"
        "ip link set e0 up; ip link set e1 up; ip route add default via 10.9.1.2;"
        f"exec {BIN / 'labq'} inventory init --hosts gpu01 --control ctl"
    )
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], env=env, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "this machine has several addresses: 10.9.0.1 (e0), 10.9.1.1 (e1); choose" in done.stderr
    assert "http://10.9.1.1:7580 is written, since 10.9.1.1 is the one it goes out with" in done.stderr
    assert as_ansible_reads_it(tmp_path / "lab", env)["ctl"]["labq_server"] == "http://10.9.1.1:7580"


def test_an_account_of_this_machine_may_be_the_first_admin_and_root_may_not(
    env: dict[str, str], tmp_path: Path
) -> None:
    nobody = pwd.getpwnam("nobody")
    assert "'root' is not legal" in init(env, "--hosts", "gpu01", "--admin", "root").stderr
    assert init(env, "--hosts", "gpu01", "--control", "ctl", "--admin", "nobody").returncode == 0
    said = as_ansible_reads_it(tmp_path / "lab", env)["ctl"]["control_admin"]
    assert said == {"name": "nobody", "uid": nobody.pw_uid, "gid": nobody.pw_gid}
