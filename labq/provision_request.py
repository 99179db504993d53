"""What may be asked of the provisioner: a playbook, its hosts and tags, a node to be added. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from labq.errors import BadInputError
from labq.node import check_node_name

#: What people run when they name nothing, and when they add or remove a node.
ALL_OF_IT, ADD_NODE, REMOVE_NODE, PREFLIGHT = "site.yml", "gpu_nodes.yml", "remove_node.yml", "preflight.yml"

#: No "@": ansible reads a file then. No "-" or "{" in front: no flag, no template.
_LIMIT = re.compile(r"[A-Za-z0-9_!&*][A-Za-z0-9_.,:!&*?\[\]-]{0,999}")
_PLAYBOOK = re.compile(r"[a-z][a-z0-9_]{0,63}(\.yml)?")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ADDRESS = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:_-]{0,254}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
#: Tags of a run and labels of a node: many more than there are roles, or than anybody writes.
_MOST = 100
#: As the agent has them (LABQ_NODE_LABELS).
_LABEL, _VALUE = re.compile(r"[A-Za-z][\w.-]{0,62}", re.ASCII), re.compile(r"[\w./-]{1,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewNode:
    """A node to be written into the inventory before the play runs."""

    name: str
    #: name or address of its sshd; "" = the node's name
    address: str = ""
    #: "" = as the inventory says for all
    user: str = ""
    #: 0 = as the inventory says for all
    port: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    #: the ssh host key that is known of it is forgotten first: it was installed anew
    new_key: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the wire form."""
        return {
            "name": self.name, "address": self.address, "user": self.user, "port": self.port,
            "labels": dict(self.labels), "new_key": self.new_key,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for."""

    playbook: str
    #: ansible's pattern of hosts; "" = all that the play names
    limit: str = ""
    tags: tuple[str, ...] = ()
    check: bool = False
    diff: bool = False
    host: NewNode | None = None
    #: remove_node.yml: the machine is gone and is not asked
    dead: bool = False

    @staticmethod
    def from_json(body: Any) -> Request:
        """Read a request.

        Raises:
            BadInputError: quoting what is not legal.
        """
        if not isinstance(body, dict):
            raise BadInputError("the request is no JSON object", 'send {"playbook": "site.yml"}')
        legal = ("playbook", "limit", "tags", "check", "diff", "host", "dead")
        for key in body:
            if key not in legal:
                raise BadInputError(f"key {str(key)[:100]!r} is not known", f"legal: {', '.join(legal)}")
        host = None if body.get("host") is None else read_node(body["host"])
        playbook = _matching(
            _text(body, "playbook") or (ADD_NODE if host else ALL_OF_IT), _PLAYBOOK, "playbook", ALL_OF_IT
        )
        limit = _text(body, "limit")
        if host is not None:
            if limit not in {"", host.name}:
                raise BadInputError(
                    f"limit {limit[:100]!r} is not the new node", f"leave it out: {host.name} is meant"
                )
            limit = host.name
        elif limit:
            _matching(limit, _LIMIT, "limit", "gpu01,gpu02 or gpu_nodes:!gpu03")
        flags = {key: body.get(key, False) for key in ("check", "diff", "dead")}
        for key, value in flags.items():
            if not isinstance(value, bool):
                raise BadInputError(f"{key} {str(value)[:100]!r} is neither true nor false")
        playbook = playbook if playbook.endswith(".yml") else f"{playbook}.yml"
        if flags["dead"] and playbook != REMOVE_NODE:
            raise BadInputError(
                "dead is for a node that is removed", f'send {{"playbook": "{REMOVE_NODE}", …}}'
            )
        if flags["check"] and host is not None:
            raise BadInputError(
                "check and host: a check changes nothing, and a new node would be written into the inventory",
                "leave out host for a node that is there, or check",
            )
        tags = _tags(body.get("tags"))
        if tags and playbook == REMOVE_NODE:
            raise BadInputError(
                f"tags {', '.join(tags)[:100]!r} are not for a node that is removed",
                "leave them out: it goes as a whole",
            )
        return Request(playbook, limit, tags, flags["check"], flags["diff"], host, flags["dead"])

    def to_json(self) -> dict[str, Any]:
        """Return the wire form."""
        return {
            "playbook": self.playbook, "limit": self.limit, "tags": list(self.tags), "check": self.check,
            "diff": self.diff, "host": self.host.to_json() if self.host else None, "dead": self.dead,
        }  # fmt: skip


def read_node(body: Any) -> NewNode:
    """Read the node of a request.

    Raises:
        BadInputError: quoting what is not legal.
    """
    legal = ("name", "address", "user", "port", "labels", "new_key")
    if not isinstance(body, dict) or not isinstance(body.get("name"), str):
        raise BadInputError("host is no object with a name", 'send {"host": {"name": "gpu05"}}')
    for key in body:
        if key not in legal:
            raise BadInputError(f"key {str(key)[:100]!r} of host is not known", f"legal: {', '.join(legal)}")
    address, user, port = body.get("address") or "", body.get("user") or "", body.get("port") or 0
    if address:
        _matching(address, _ADDRESS, "address", "10.0.0.5 or gpu05.lab")
    if user:
        _matching(user, _USER, "user", "root")
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port < 65536:
        raise BadInputError(f"port {str(port)[:100]!r} is not legal", "write 1 to 65535")
    labels, new_key = body.get("labels") or {}, body.get("new_key", False)
    if not isinstance(labels, dict) or len(labels) > _MOST or not isinstance(new_key, bool):
        raise BadInputError(
            f"labels is no object of at most {_MOST}, or new_key neither true nor false",
            '{"labels": {"rack": "a"}}',
        )
    for key, value in labels.items():
        _matching(key, _LABEL, "label", "rack=a")
        _matching(value, _VALUE, f"label {key}: value", "rack=a")
    return NewNode(check_node_name(body["name"]), address, user, port, labels, new_key)


def _tags(said: Any) -> tuple[str, ...]:
    if said is None:
        return ()
    if not isinstance(said, list) or len(said) > _MOST:
        raise BadInputError(
            f"tags {str(said)[:100]!r} is no list of at most {_MOST}", 'send {"tags": ["docker"]}'
        )
    return tuple(_matching(tag, _TAG, "tag", "docker") for tag in said)


def _text(body: Mapping[str, Any], key: str) -> str:
    """Return a text that may be left out. An empty list in its place is none: a list of no hosts would mean all."""
    said = body.get(key)
    if said is not None and not isinstance(said, str):
        raise BadInputError(
            f"{key} {str(said)[:100]!r} is no text", f"leave out {key}, or write it as a text"
        )
    return said or ""


def _matching(said: Any, form: re.Pattern[str], what: str, example: str) -> str:
    if not isinstance(said, str) or not form.fullmatch(said):
        raise BadInputError(f"{what} {str(said)[:100]!r} is not legal", f"write it like {example}")
    return said
