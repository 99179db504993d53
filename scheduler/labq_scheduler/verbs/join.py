"""Join: a machine that shows a one-time token becomes a node, and is told how to speak to us."""

from __future__ import annotations

from typing import Any

from labq.errors import ConflictError, NotAllowedError
from labq.node import AGENT_PREFIX, check_node_name
from labq.store import Person, Store
from labq.store.node_users import url_of_node

_ANOTHER = "make another on the control machine, good for ten minutes: labq-scheduler --node-join {}"


def make_join_token(store: Store, name: str, redis_url_nodes: str) -> str:
    """Return a new one-time token for a node of that name; an older one is good no more.

    Args:
        store: the lab's store.
        name: of the node.
        redis_url_nodes: Redis as nodes reach it.

    Raises:
        BadInputError: the name is not legal.
        ConflictError: nobody said how nodes reach Redis, so the token would be of no use.
    """
    check_node_name(name)
    _require(redis_url_nodes)
    return store.joining.new_token(name)


def join(store: Store, name: str, token: str, redis_url_nodes: str) -> dict[str, Any]:
    """Use the one-time token up and return the node's own token and the address of Redis, with a user of its own.

    What tokens and password the node had before are good no more: one machine has the name. A Redis that has no users
    (older than 6.2, or a hosted one that lets us make none) is told as it is, with the lab's one password.

    Args:
        store: the lab's store.
        name: of the node.
        token: the one-time token.
        redis_url_nodes: Redis as nodes reach it.

    Raises:
        BadInputError: the name is not legal.
        ConflictError: nobody said how nodes reach Redis, or a person is called as the node's agent would be.
        NotAllowedError: the token was used, is too old, or is another node's.
    """
    check_node_name(name)
    _require(redis_url_nodes)
    agent = AGENT_PREFIX + name
    person = store.people.get(agent)
    if person is not None and not person.agent:
        raise ConflictError(
            f"{agent} is a person of this lab, whose tokens node {name} would take over",
            f"call the node or the person otherwise: labq user rm {agent}",
        )
    match store.joining.use_up(name, token):
        case "used":
            raise NotAllowedError(
                f"the one-time token of {name} was used before; if that was not you, remove the node at once",
                _ANOTHER.format(name),
            )
        case "unknown":
            raise NotAllowedError(
                f"this is no one-time token with which {name} may join: mistyped, another node's, replaced by a "
                "newer one, or older than ten minutes",
                _ANOTHER.format(name),
            )
    store.people.revoke(agent)
    store.people.put(Person(agent, agent=True))
    password = store.node_users.give(name)
    url = redis_url_nodes if password is None else url_of_node(redis_url_nodes, name, password)
    return {"name": name, "token": store.people.new_token(agent), "redis_url": url}


def _require(redis_url_nodes: str) -> None:
    if not redis_url_nodes:
        raise ConflictError(
            "this server does not know at which address nodes reach its Redis",
            "set LABQ_REDIS_URL_NODES (or LABQ_REDIS_URL_NODES_FILE) on the control machine, restart labq-scheduler",
        )
