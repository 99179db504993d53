"""The first admin and the tokens of nodes, made on the control machine itself, where nobody has a token yet.

Who can read ``LABQ_REDIS_URL`` there can do anything anyway; everybody else is made with ``labq user``.
"""

from __future__ import annotations

import pwd

from labq.errors import BadInputError
from labq.node import AGENT_PREFIX, check_node_name
from labq.store import Person, Store


def add_admin(store: Store, name: str, uid: int | None, gid: int | None) -> str:
    """Return a new token of an admin, who is made when there is none of that name.

    Args:
        store: the lab's store.
        name: user name.
        uid: unix id with which their containers run; None = this machine's account of that name.
        gid: likewise.

    Raises:
        BadInputError: no ids were given and this machine knows no such account; or agents are called so.
    """
    if name.startswith(AGENT_PREFIX):
        raise BadInputError(
            f"no person can be called {name!r}: agents of nodes are called {AGENT_PREFIX}NAME",
            f"use another name; for an agent's token: --add-node {name.removeprefix(AGENT_PREFIX) or 'NAME'}",
        )
    if uid is None or gid is None:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            raise BadInputError(
                f"this machine has no account {name!r}",
                f"add --uid N --gid N: the ids of {name} on the nodes",
            ) from None
        uid, gid = account.pw_uid if uid is None else uid, account.pw_gid if gid is None else gid
    store.people.put(Person(name, uid, gid, admin=True))
    return store.people.new_token(name)


def add_node(store: Store, name: str) -> str:
    """Return a new token for the agent of a node.

    Raises:
        BadInputError: the name is not legal.
    """
    agent = AGENT_PREFIX + check_node_name(name)
    store.people.put(Person(agent, agent=True))
    return store.people.new_token(agent)
