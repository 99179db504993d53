"""Names of hosts that would be something else: a path, a group, two lines. Nothing runs on a host that is not locked."""

from __future__ import annotations

import subprocess

import pytest
from support.provisioning import BIN, Lab

from labq.provision import RunState

HERE = {"ansible_connection": "local"}


@pytest.mark.parametrize("name", ["gpu 01", "..", "a/b", "b\nc", "-e", "gpuä", "x" * 300, "{{ 1 }}", "a\tb"])
def test_a_host_with_a_name_that_cannot_be_locked_is_refused_and_nothing_runs_on_the_others(
    lab: Lab, name: str
) -> None:
    lab.write_inventory({"a": HERE, name: HERE, "z": HERE})
    run = lab.ended(lab.ask("fine.yml"))
    assert (run.state, run.started, run.hosts) == (RunState.FAILED, None, ())
    assert "has a name that labq does not take" in run.refused[0]
    assert "beginning with a letter or digit" in run.refused[1]
    assert list(lab.scratch.iterdir()) == []


def test_hosts_whose_names_differ_by_little_have_a_lock_each(lab: Lab) -> None:
    lab.write_inventory({"a-1": HERE, "a_1": HERE, "a.1": HERE})
    run = lab.ended(lab.ask("fine.yml"))
    assert (run.state, run.hosts) == (RunState.SUCCEEDED, ("a-1", "a.1", "a_1"))


@pytest.mark.parametrize("name", ["all", "gpu_nodes", "ungrouped", "localhost"])
def test_a_node_cannot_be_called_what_ansible_calls_others(lab: Lab, name: str) -> None:
    run = lab.ended(lab.ask("", host={"name": name}))
    assert (run.state, run.started) == (RunState.FAILED, None)
    assert f"no node can be called {name!r}" in run.refused[0]
    assert not (lab.root / "inventory" / "nodes" / f"{name}.yml").exists()


def test_a_node_that_was_refused_is_not_left_in_the_inventory(lab: Lab) -> None:
    run = lab.ended(lab.ask("fine.yml", host={"name": "c"}, tags=["nothing"]))
    assert "has no tag 'nothing'" in run.refused[0]
    assert not (lab.root / "inventory" / "nodes" / "c.yml").exists()


def test_an_inventory_that_is_encrypted_is_read_also_where_a_limit_is_checked(lab: Lab) -> None:
    lab.plant()
    password = lab.root / "vault-password"
    subprocess.run(
        [BIN / "ansible-vault", "encrypt", "--vault-password-file", password, lab.root / "inventory" / "lab.yml"],
        check=True, capture_output=True, env=lab.env(), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert lab.ended(lab.ask("fine.yml", limit="a")).state is RunState.SUCCEEDED
    password.write_text("another\n")
    for limit in ("a", ""):
        run = lab.ended(lab.ask("fine.yml", limit=limit))
        assert (run.state, run.started) == (RunState.FAILED, None)
        assert f"put the password of the vault into {password}" in run.refused[1]


@pytest.mark.parametrize("text", ['gpu_nodes:\n  hosts:\n    "c', "a: 1\n\tb: 2\n"])
def test_a_file_of_the_inventory_with_a_fault_in_it_is_no_reason_to_leave_its_machines_out(
    lab: Lab, text: str
) -> None:
    file = lab.root / "inventory" / "nodes" / "c.yml"
    file.parent.mkdir()
    file.write_text(text)
    for limit in ("", "a"):
        run = lab.ended(lab.ask("fine.yml", limit=limit))
        assert (run.state, run.started) == (RunState.FAILED, None)
        assert str(file) in run.refused[0]
    file.unlink()
    assert lab.ended(lab.ask("fine.yml")).state is RunState.SUCCEEDED


def test_an_inventory_of_which_ansible_dies_is_refused_too(lab: Lab) -> None:
    (lab.root / "inventory" / "deep.yml").write_text("[" * 100_000)
    run = lab.ended(lab.ask("fine.yml", limit="a"))
    assert (run.state, run.started) == (RunState.FAILED, None)
    assert "ansible cannot read the inventory" in run.refused[0]
