"""The files of a lab's inventory, as text: what `labq inventory init` and `labq node add` write. Pure.

They are YAML with each value written as JSON, which YAML reads alike: nothing needs a library to be quoted rightly.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from labq.errors import BadInputError
from labq.provision_request import NewNode, read_node

GROUP = "gpu_nodes"


@dataclass(frozen=True, slots=True)
class Answers:
    """What `labq inventory init` asks."""

    #: name of the control machine
    control: str
    #: address of the server for nodes and people
    server: str
    #: as whom ansible logs in to the nodes
    user: str
    #: the first admin: name, uid, gid; None = none is made
    admin: tuple[str, int, int] | None
    nodes: tuple[NewNode, ...]


def node_text(node: NewNode) -> str:
    """Return ``inventory/nodes/<name>.yml``."""
    said: dict[str, object] = {}
    if node.address:
        said["ansible_host"] = node.address
    if node.port:
        said["ansible_port"] = node.port
    if node.user:
        said["ansible_user"] = node.user
    if node.labels:
        said["labq_node_labels"] = dict(node.labels)
    lines = [f"      {key}: {_quoted(value)}\n" for key, value in said.items()]
    return (
        f"# {node.name}: written by labq, yours to edit. What holds for all nodes stands in ../lab.yml.\n"
        f"{GROUP}:\n  hosts:\n    {_quoted(node.name)}:{'' if lines else ' {}'}\n{''.join(lines)}"
    )


def lab_text(answers: Answers) -> str:
    """Return ``inventory/lab.yml``: what was answered, and commented out what else can be said."""
    become = (
        ""
        if answers.user == "root"
        else "    # Not root, so sudo is used; it must ask for no password.\n    ansible_become: true\n"
    )
    admin = "# control_admin: {name: hana, uid: 1000, gid: 1000}"
    if answers.admin is not None:
        name, uid, gid = answers.admin
        admin = f"control_admin: {_quoted({'name': name, 'uid': uid, 'gid': gid})}"
    return f"""\
# The lab's machines, and what is the same on all of them. Written once by `labq inventory init`, yours from then on.
# Each node has a file of its own in nodes/, which `labq node add` writes. Secrets belong into group_vars/all/vault.yml:
#   ansible-vault create --vault-password-file ../vault-password group_vars/all/vault.yml
# Every variable: playbooks/roles/*/meta/argument_specs.yml. After a change: labq provision --check --diff, then labq provision.
all:
  vars:
    # Where nodes and people reach the server.
    labq_server: {_quoted(answers.server)}

    # People: the same name and uid on every node, so that files mean the same person everywhere.
    # An account that is taken out here stays; `state: absent` locks it and keeps its home.
    base_users: []
    # base_users: [{{name: hana, uid: 1001, gid: 1001, ssh_keys: ["ssh-ed25519 AAAA… hana@laptop"]}}]
    # base_timezone: Asia/Tokyo

    # Directories that jobs may mount; a node whose mount is missing takes no jobs.
    # data_mounts:
    #   - {{path: /data, src: "nas:/export/data", fstype: nfs4, opts: "ro,hard,_netdev", jobs: ro}}

    # Docker's files on a large disk; its root needs to move while no job runs.
    # docker_data_root: /var/lib/docker

    # NVIDIA's driver: auto = where PCI shows a card. Pinned and held; only upgrade_driver.yml changes it.
    # nvidia_state: auto
    # nvidia_driver_package: nvidia-driver
    # nvidia_driver_version: "550.163.01"
    # Its container toolkit is in no distribution. Once: curl -fsSLo /etc/labq/lab/nvidia-toolkit.asc https://nvidia.github.io/libnvidia-container/gpgkey
    # nvidia_toolkit_repo:
    #   uris: https://nvidia.github.io/libnvidia-container/stable/deb/amd64  # or …/arm64
    #   suites: /
    #   signed_by: "{{{{ lookup('ansible.builtin.file', '/etc/labq/lab/nvidia-toolkit.asc') }}}}"

  children:
    control:
      hosts:
        {_quoted(answers.control)}:
          # The plays run on this machine itself.
          ansible_connection: local
      vars:
        # The first admin; the token lies in /root/labq-admin-token afterwards.
        {admin}
        # The wheel that labq was installed from: the server is made of it, and serves it to the nodes. Not needed from a checkout.
        # labq_wheel: /root/labq-0.1.0-py3-none-any.whl
        # Lines of compose's .env (.env.example lists them).
        control_settings: {{}}
        # backup_dir: /var/backups/labq

    {GROUP}:
      vars:
        ansible_user: {_quoted(answers.user)}
{become.replace("    ", "        ", 2) if become else ""}        # Settings of the agents (docs/reference/settings.md), on all nodes.
        labq_worker_settings: {{}}
"""


def read_hosts(words: Sequence[str]) -> tuple[NewNode, ...]:
    """Return the nodes of words like ``gpu01``, ``gpu01=10.0.0.11`` or ``gpu01=10.0.0.11:2222``.

    Raises:
        BadInputError: quoting a word that is none, or a name that comes twice.
    """
    found: dict[str, NewNode] = {}
    for word in words:
        name, _, address = word.partition("=")
        port = 0
        if address.count(":") == 1:
            address, _, digits = address.partition(":")
            if not (digits.isascii() and digits.isdigit()):
                raise BadInputError(
                    f"{word!r} is not legal: {digits!r} is no port", "write gpu01=10.0.0.11:2222"
                )
            port = int(digits)
        if name in found:
            raise BadInputError(f"node {name!r} is named twice", "name each once")
        found[name] = read_node({"name": name, "address": address, "port": port})
    return tuple(found.values())


def host_lines(text: str) -> list[str]:
    """Return the words for ``read_hosts`` of a file with lines ``gpu01 10.0.0.11``; # begins a remark."""
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return ["=".join(words[:2]) for words in lines if words]


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
