"""Joining a lab: a one-time token becomes the node's own token and the address of Redis, in one file."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labq.client.session import Session
from labq.errors import BadInputError, ConflictError, NotAllowedError, NoTokenError, UnavailableError
from labq.node import AGENT_PREFIX, check_node_name
from labq.store import Store
from labq.store.node_users import has_user
from labq.variables import read_variables

#: Where the unit of the agent reads what joining wrote.
NODE_ENV = Path("/etc/labq/node.env")
#: What may stand in a file of variables without quotes. A password with anything else is percent-encoded in a URL.
_PLAIN = re.compile(r"[A-Za-z0-9:/?#\[\]@!$&()*+,;=%._~-]+")


@dataclass(frozen=True, slots=True)
class Membership:
    """What a node knows since it joined."""

    name: str
    token: str = field(repr=False)
    redis_url: str = field(repr=False)


def join(server: str, name: str, token: str, path: Path) -> Membership:
    """Join the lab and write the file; nothing is used up when it could not be written.

    Args:
        server: address of the labq server.
        name: of this node.
        token: one-time.
        path: of the file.

    Raises:
        BadInputError: the name is not legal, or the file cannot be written.
        ConflictError: this machine is another node of that lab.
        NotAllowedError: the server refused the token.
        UnavailableError: the server does not answer.
    """
    check_node_name(name)
    _require_no_other(server, name, path)
    session = Session(server, "")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise BadInputError(
            f"{path} cannot be written: {error.strerror}",
            "run this as root, or name another: --node-env PATH",
        ) from None
    try:
        with os.fdopen(descriptor, "w") as handle:
            body = {"name": name, "token": token}
            found = _membership(name, session.json("POST", "/v1/join", body=body))
            handle.write(_text(found))
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
        session.close()
    return found


def is_joined(server: str, name: str, path: Path) -> bool:
    """Return whether server and Redis still accept what the file says.

    Args:
        server: address of the labq server.
        name: that the node should have.
        path: of the file.

    Raises:
        UnavailableError: one of them does not answer: nobody knows.
    """
    try:
        said = read_variables(path.read_text(), str(path))
    except FileNotFoundError:
        return False
    if said.get("LABQ_NODE") != name or not said.get("LABQ_NODE_TOKEN") or not said.get("LABQ_REDIS_URL"):
        return False
    if _whose(server, said["LABQ_NODE_TOKEN"]) != AGENT_PREFIX + name:
        return False
    store = Store(said["LABQ_REDIS_URL"])
    try:
        # One that joined before nodes had users of their own joins again, and knows the lab's password no more.
        return store.connection.accepts() and (
            has_user(store.connection.url) or not store.node_users.are_kept()
        )
    finally:
        store.connection.close()


def _whose(server: str, token: str) -> str:
    """Return which agent has the token; "" = none.

    Raises:
        UnavailableError: the server does not answer.
    """
    session = Session(server, token)
    try:
        me = session.json("GET", "/v1/me")
    except NoTokenError:
        return ""
    finally:
        session.close()
    return str(me.get("name", "")) if me.get("agent") else ""


def _require_no_other(server: str, name: str, path: Path) -> None:
    """Refuse to make a node into another: an address in the inventory may be a neighbour's, and its jobs would be lost."""
    try:
        said = read_variables(path.read_text(), str(path))
    except OSError:  # there is none, or joining will say why it cannot be written
        return
    other, token = said.get("LABQ_NODE", ""), said.get("LABQ_NODE_TOKEN", "")
    if other in {"", name} or not token:
        return
    if _whose(server, token) == AGENT_PREFIX + other:
        raise ConflictError(
            f"this machine is node {other} of this lab, and was asked to become {name}",
            f"is the address of {name} right in the inventory? if {other} is to be renamed: labq node remove {other} first",
        )


def require_accepted(store: Store, name: str, token: str) -> None:
    """Do nothing when this node may say that it is there.

    Where nodes share Redis' password, one that was removed still knows it, and its token is what was revoked. Where each
    has a user of its own, Redis itself takes it no more, and lets no agent read tokens.

    Args:
        store: the lab's store.
        name: of this node.
        token: of this node; "" = it was told none, which cannot have been revoked.

    Raises:
        NotAllowedError: its token is good no more.
        UnavailableError: Redis does not answer.
    """
    if token and not has_user(store.connection.url) and store.people.whose(token) is None:
        raise NotAllowedError(
            f"the token of node {name} is not accepted: it was removed from the lab, or another machine joined as {name}",
            f"let it join again, labq node add {name}, or stop labq-worker here; until then it takes no jobs",
        )


def _membership(name: str, body: Any) -> Membership:
    try:
        found = Membership(name, body["token"], body["redis_url"])
    except (TypeError, KeyError):
        raise UnavailableError(
            "the server's answer is not what a joining node is told", "upgrade labq on both"
        ) from None
    if not _PLAIN.fullmatch(found.token) or not _PLAIN.fullmatch(found.redis_url):
        raise BadInputError(
            "the server's LABQ_REDIS_URL_NODES has a space, a quote or a backslash in it",
            "write its password percent-encoded there",
        )
    return found


def _text(found: Membership) -> str:
    return (
        "# Written by labq-worker --join; no one else's, and nothing to edit. Secret.\n"
        f"LABQ_NODE={found.name}\nLABQ_NODE_TOKEN={found.token}\nLABQ_REDIS_URL={found.redis_url}\n"
    )
