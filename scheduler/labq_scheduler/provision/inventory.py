"""The inventory: one file for each node that was added, and which hosts a playbook and a limit mean.

No file is ever edited in place: ``inventory/nodes/<name>.yml`` is written once, and is its owner's from then on.
What a limit means is asked of ansible itself (its command lines; nothing of ansible is imported).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labq.errors import BadInputError, closest
from labq.inventory import GROUP, node_text
from labq.provision_request import NewNode
from labq.whole_file import write_whole
from labq_scheduler.provision.places import LabDir

#: A host's name, which is also the name of its lock. Two dots, a space or a line's end would be something else there.
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,199}")
#: Seconds within which ansible reads an inventory; it takes one.
ANSWER = 120.0


@dataclass(frozen=True, slots=True)
class Meant:
    """What a playbook, a limit and tags mean."""

    hosts: tuple[str, ...]
    tags: tuple[str, ...]


def read_node_file(text: str, name: str) -> dict[str, Any]:
    """Return the variables of a node that its file says. Pure.

    Raises:
        BadInputError: it is not one of ``labq node add``'s form any more.
    """
    try:
        found = yaml.safe_load(text)[GROUP]["hosts"][name] or {}
    except (yaml.YAMLError, KeyError, TypeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = "" if line is None else f", line {line + 1}"
        raise BadInputError(
            f"inventory/nodes/{name}.yml{where} does not say {GROUP}: hosts: {name}",
            "mend the file; it is YAML",
        ) from None
    if not isinstance(found, dict):
        raise BadInputError(f"inventory/nodes/{name}.yml: {name} has no variables", "write KEY: VALUE lines")
    return found


def write_node(lab: LabDir, node: NewNode) -> bool:
    """Write the file of a node; return False when it was there and says the same.

    Raises:
        BadInputError: it is there and says something else.
    """
    path = lab.nodes / f"{node.name}.yml"
    if path.exists():
        there = read_node_file(path.read_text(), node.name)
        wanted = yaml.safe_load(node_text(node))[GROUP]["hosts"][node.name]
        for key, value in wanted.items():
            if there.get(key) != value:
                raise BadInputError(
                    f"node {node.name} is in the inventory with {key} {there.get(key)!r}, not {value!r}",
                    f"edit {path}, then: labq provision --limit {node.name}",
                )
        return False
    lab.nodes.mkdir(mode=0o700, exist_ok=True)
    write_whole(path, node_text(node), mode=0o600)
    return True


def where(lab: LabDir, name: str) -> tuple[str, int]:
    """Return address and ssh port of a node that was added; port 0 = ssh's own."""
    said = read_node_file((lab.nodes / f"{name}.yml").read_text(), name)
    port = said.get("ansible_port")
    return str(said.get("ansible_host") or name), port if isinstance(port, int) else 0


def addresses(lab: LabDir) -> dict[str, str]:
    """Return the nodes that were added, by how their address stands in known_hosts."""
    found = {}
    for path in lab.nodes.glob("*.yml"):
        try:
            address, port = where(lab, path.stem)
        except BadInputError:  # its owner wrote it in another form
            continue
        found[address if port in {0, 22} else f"[{address}]:{port}"] = path.stem
    return found


def set_aside(lab: LabDir, name: str) -> str:
    """Take a node out of the inventory, keeping its file; return a sentence on that."""
    path = lab.nodes / f"{name}.yml"
    if not path.exists():
        return f"{name} is still in {lab.inventory}: take it out by hand, it was not written by labq node add"
    lab.removed.mkdir(mode=0o700, exist_ok=True)
    path.replace(lab.removed / path.name)
    with suppress(OSError):  # the last one; a directory without files is no inventory to ansible
        lab.nodes.rmdir()
    return f"{name} is out of the inventory; its file is kept as {lab.removed / path.name}"


def resolve(
    binaries: Path, lab: LabDir, playbook: Path, limit: str, tags: Sequence[str], env: Mapping[str, str]
) -> Meant:
    """Return the hosts that a playbook would work on, and the tags that it knows.

    Args:
        binaries: directory of ansible's programs.
        lab: the lab directory.
        playbook: path.
        limit: ansible's pattern; "" = all.
        tags: wanted; () = all.
        env: environment of ansible.

    Raises:
        BadInputError: a host or tag that there is not, with what is legal; or ansible cannot read the files.
    """
    if limit:
        check_limit(limit, *named(binaries, lab, env))
    command = [
        str(binaries / "ansible-playbook"),
        str(playbook),
        "--list-hosts",
        "--list-tags",
        *_whence(lab),
    ]
    if limit:
        command += [f"--limit={limit}"]
    status, out, complaint = _ask(command, env, lab)
    if status:
        if "no hosts to target" in complaint:
            raise BadInputError(
                f"limit {limit!r} leaves no host",
                "labq provision ls; the inventory is in " + str(lab.inventory),
            )
        raise BadInputError(
            f"ansible cannot read {playbook.name} or the inventory: {_essence(complaint)}",
            _mend(lab, complaint),
        )
    meant = read_listing(out)
    for tag in tags:
        if tag not in meant.tags and tag not in {"all", "tagged", "untagged", "always", "never"}:
            near = closest(tag, list(meant.tags))
            hint = f"did you mean {near}? " if near else ""
            raise BadInputError(
                f"{playbook.name} has no tag {tag!r}", f"{hint}it has: {', '.join(meant.tags)}"
            )
    if not meant.hosts:
        raise BadInputError(
            f"{playbook.name} has no host to work on" + (f" within {limit!r}" if limit else ""),
            "labq node add NAME puts a machine into the inventory",
        )
    return meant


def read_listing(text: str) -> Meant:
    """Return what ``ansible-playbook --list-hosts --list-tags`` printed. Pure.

    Raises:
        BadInputError: a host has a name that cannot be told from the rest, so it could not be locked.
    """
    hosts: dict[str, None] = {}
    tags: dict[str, None] = {}
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if match := re.fullmatch(r"    hosts \((\d+)\):", line):
            end = at + 1 + int(match[1])
            odd = [each for each in lines[at + 1 : end] if not HOST.fullmatch(each.removeprefix(" " * 6))]
            # A name with a line's end in it makes more lines than were counted.
            odd += [each for each in lines[end : end + 1] if "TASK TAGS: [" not in each]
            if odd:
                raise BadInputError(
                    f"host {odd[0].strip()[:100]!r} has a name that labq does not take",
                    "in the inventory, call it by 1 to 200 of A-Z a-z 0-9 _ . : -, beginning with a letter or digit",
                )
            hosts.update(dict.fromkeys(each.removeprefix(" " * 6) for each in lines[at + 1 : end]))
        elif match := re.search(r"TAGS: \[(.*)\]\s*$", line):
            tags.update(dict.fromkeys(word.strip() for word in match[1].split(",") if word.strip()))
    return Meant(tuple(sorted(hosts)), tuple(sorted(tags)))


def read_graph(text: str) -> tuple[list[str], list[str]]:
    """Return groups and hosts of what ``ansible-inventory --graph`` printed. Pure."""
    groups, hosts = [], []
    for line in text.splitlines():
        word = re.sub(r"^[ |]*(--)?", "", line).strip()
        if word.startswith("@"):
            groups.append(word[1:].rstrip(":"))
        elif word:
            hosts.append(word)
    return sorted(set(groups)), sorted(set(hosts))


def named(binaries: Path, lab: LabDir, env: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the groups and hosts of the inventory.

    Raises:
        BadInputError: ansible cannot read it.
    """
    status, out, complaint = _ask([str(binaries / "ansible-inventory"), "--graph", *_whence(lab)], env, lab)
    if status:
        raise BadInputError(
            f"ansible cannot read the inventory: {_essence(complaint)}", _mend(lab, complaint)
        )
    return read_graph(out)


def check_limit(limit: str, groups: Sequence[str], hosts: Sequence[str]) -> None:
    """Refuse words of a limit that name nothing: ansible would only leave them out. Pure.

    Raises:
        BadInputError: quoting the word, with the nearest that there is.
    """
    for word in re.split(r"[,:](?![^\[]*\])", limit):
        plain = word.lstrip("!&")
        if plain and not re.search(r"[*?\[]", plain) and plain not in groups and plain not in hosts:
            near = closest(plain, [*hosts, *groups])
            hint = f"did you mean {near}? " if near else ""
            raise BadInputError(
                f"the inventory has no host or group {plain!r}",
                f"{hint}hosts: {', '.join(hosts) or 'none'}; groups: {', '.join(groups)}",
            )


def check_new_name(name: str, groups: Sequence[str]) -> None:
    """Refuse a node whose name means other machines to ansible. Pure.

    Raises:
        BadInputError: it is a group's, or that of whatever machine one is on.
    """
    if name in groups or name == "localhost":
        what = "names the machine that one is on" if name == "localhost" else "is a group of the inventory"
        raise BadInputError(
            f"no node can be called {name!r}: that {what}",
            "give it a name of its own: labq node add gpu05 --host …",
        )


def _whence(lab: LabDir) -> list[str]:
    vault = ["--vault-password-file", str(lab.vault_password)] if lab.vault_password.exists() else []
    return ["-i", str(lab.inventory), *vault]


def _mend(lab: LabDir, complaint: str) -> str:
    if re.search("vault|decrypt", complaint, re.IGNORECASE):
        return f"put the password of the vault into {lab.vault_password} (mode 0600)"
    return f"mend what it names in {lab.inventory}"


def _ask(command: list[str], env: Mapping[str, str], lab: LabDir) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            command, env=dict(env), capture_output=True, text=True, errors="replace", timeout=ANSWER, check=False,
            stdin=subprocess.DEVNULL, cwd=lab.root,  # ansible takes an ansible.cfg from where it is
        )  # fmt: skip
    except FileNotFoundError:
        raise BadInputError(
            f"there is no {command[0]}", "pip install 'labq[provision]' beside labq-provisioner"
        ) from None
    except subprocess.TimeoutExpired:
        raise BadInputError(
            f"ansible read the inventory for {ANSWER:g} s in vain", "does it name a script that hangs?"
        ) from None
    return done.returncode, done.stdout, done.stderr


def _essence(complaint: str) -> str:
    """Return the first error that ansible tells, in at most 500 characters."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    if not lines:  # killed, or died of a file that is too deep for it
        return "it ended without a word"
    first = next((i for i, line in enumerate(lines) if "ERROR" in line), 0)
    found = lines[first : first + 4]
    if "parse inventory source" in lines[first]:
        # Why was a warning before it; of the plugins that tried, the first is the one for YAML.
        why = [
            line.partition("plugin: ")[2] for line in lines if line.startswith("[WARNING]: Failed to parse")
        ]
        found = [lines[first], *why[:1], *[line for line in lines if line.startswith("Origin: ")][:1]]
    return " ".join(found).replace("[ERROR]: ", "")[:500]
