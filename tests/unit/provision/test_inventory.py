"""The inventory as text: what is written is what ansible reads; what was asked of ansible is read rightly."""

from __future__ import annotations

import string
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from labq.errors import BadInputError
from labq.inventory import Answers, host_lines, lab_text, node_text, read_hosts
from labq.provision_request import NewNode
from labq_scheduler.provision import hostkeys, inventory
from labq_scheduler.provision.places import LabDir, check_playbook

LABELS = st.dictionaries(
    st.text(string.ascii_letters, min_size=1, max_size=5),
    st.sampled_from(["a", "on", "1.0", "0x1", "null", "a/b", "2026-01-01"]),
    max_size=3,
)


@given(
    st.sampled_from(["n1", "on", "1.5", "007"]),
    st.sampled_from(["", "10.0.0.5", "::1", "1e3"]),
    st.integers(0, 65535),
    LABELS,
)
def test_a_node_is_read_as_it_was_written(name: str, address: str, port: int, labels: dict[str, str]) -> None:
    text = node_text(NewNode(name, address, "", port, labels))
    said = inventory.read_node_file(text, name)
    assert said.get("ansible_host", "") == address
    assert said.get("ansible_port", 0) == port
    assert said.get("labq_node_labels", {}) == labels


@pytest.mark.parametrize("user", ["root", "ubuntu"])
@pytest.mark.parametrize("admin", [None, ("hana", 1000, 1000)])
def test_the_inventory_of_init_is_yaml_with_the_names_of_the_contract(
    user: str, admin: tuple[str, int, int] | None
) -> None:
    found = yaml.safe_load(lab_text(Answers("ctl", "http://10.0.0.1:7580", user, admin, ())))["all"]
    assert found["vars"]["labq_server"] == "http://10.0.0.1:7580"
    control = found["children"]["control"]
    assert control["hosts"] == {"ctl": {"ansible_connection": "local"}}
    assert control["vars"].get("control_admin") == (admin and {"name": "hana", "uid": 1000, "gid": 1000})
    nodes = found["children"]["gpu_nodes"]["vars"]
    assert (nodes["ansible_user"], nodes.get("ansible_become", False)) == (user, user != "root")


def test_hosts_are_named_in_words_or_in_lines_of_a_file() -> None:
    lines = host_lines("# the lab\ngpu01 10.0.0.11   # rack a\n\ngpu02\n")
    assert lines == ["gpu01=10.0.0.11", "gpu02"]
    assert read_hosts([*lines, "gpu03=10.0.0.13:2222"]) == (
        NewNode("gpu01", "10.0.0.11"),
        NewNode("gpu02"),
        NewNode("gpu03", "10.0.0.13", port=2222),
    )
    for words, said in (
        (["a", "a"], "node 'a' is named twice"),
        (["a/b"], "node name 'a/b'"),
        (["a=h:x"], "'x' is no port"),
    ):
        with pytest.raises(BadInputError, match=said):
            read_hosts(words)


def test_a_node_that_is_there_is_left_as_it_is_unless_it_says_something_else(tmp_path: Path) -> None:
    lab = LabDir(tmp_path)
    lab.inventory.mkdir()
    assert inventory.write_node(lab, NewNode("n1", "10.0.0.5"))
    path = lab.nodes / "n1.yml"
    path.write_text(path.read_text() + "      mine: 1 # a remark\n")
    before = path.read_text()
    assert not inventory.write_node(lab, NewNode("n1", "10.0.0.5"))
    assert not inventory.write_node(lab, NewNode("n1"))
    assert path.read_text() == before
    with pytest.raises(BadInputError, match=r"with ansible_host '10.0.0.5', not '10.0.0.6'"):
        inventory.write_node(lab, NewNode("n1", "10.0.0.6"))
    inventory.write_node(lab, NewNode("n2", "10.0.0.7", port=2222))
    (lab.nodes / "mine.yml").write_text("gpu_nodes: {}\n")
    assert inventory.addresses(lab) == {"10.0.0.5": "n1", "[10.0.0.7]:2222": "n2"}
    path.write_text("gpu_nodes: [")
    with pytest.raises(BadInputError, match="line 1 does not say gpu_nodes"):
        inventory.write_node(lab, NewNode("n1"))
    assert "kept as" in inventory.set_aside(lab, "n1")
    assert "by hand" in inventory.set_aside(lab, "n1")


def test_a_lab_directory_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="there is no inventory"):
        LabDir(tmp_path).check()
    (tmp_path / "inventory").mkdir()
    tmp_path.chmod(0o750)
    with pytest.raises(BadInputError, match="has mode 750") as caught:
        LabDir(tmp_path).check()
    assert caught.value.next == f"chmod 700 {tmp_path}"
    tmp_path.chmod(0o700)
    LabDir(tmp_path).check()


def test_what_ansible_lists_is_read() -> None:
    listing = """
playbook: t.yml

  play #1 (all): all\tTAGS: [always]
    pattern: ['all']
    hosts (2):
      n1
      ctl
      TASK TAGS: [a, b]

  play #2 (x): x\tTAGS: []
    pattern: ['x']
    hosts (0):
      TASK TAGS: []
"""
    assert inventory.read_listing(listing) == inventory.Meant(("ctl", "n1"), ("a", "always", "b"))
    graph = "@all:\n  |--@ungrouped:\n  |--@gpu_nodes:\n  |  |--n-1\n  |  |--gpu.02\n"
    assert inventory.read_graph(graph) == (["all", "gpu_nodes", "ungrouped"], ["gpu.02", "n-1"])


def test_a_playbook_that_there_is_not_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "site.yml").write_text("---\n- hosts: all\n")
    (tmp_path / "galaxy.yml").write_text("name: x\n")
    check_playbook(tmp_path, "site.yml")
    with pytest.raises(BadInputError, match="no playbook 'sitee") as caught:
        check_playbook(tmp_path, "sitee.yml")
    assert caught.value.next == "did you mean site.yml? there are: site.yml"


def test_keys_that_are_new_are_told_by_the_fingerprint_that_ssh_prints(tmp_path: Path) -> None:
    key, path = tmp_path / "key", tmp_path / "known_hosts"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    printed = subprocess.run(
        ["ssh-keygen", "-l", "-f", key], check=True, capture_output=True, text=True
    ).stdout
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    assert hostkeys.read(path) == set()
    path.write_text(f"n1 {public}\n")
    before = hostkeys.read(path)
    path.write_text(f"n1 {public}\n[n2]:2222 {public}\n")
    assert hostkeys.new(before, path) == [("[n2]:2222", printed.split()[1])]
    assert hostkeys.forget(path, "n2", 2222)
    assert not hostkeys.forget(path, "n2", 2222)
    assert hostkeys.read(path) == before
