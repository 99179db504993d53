"""Users of Redis: one for each node that joined, with a password and rights of its own, gone when the node is removed.

What Redis knows of users it forgets at a restart. So the truth is a hash of digests, which is in the append-only file and
in every backup; ``put_right`` makes Redis' users what the hash says (ADR 12).
"""

from __future__ import annotations

import hashlib
import secrets
from urllib.parse import urlsplit, urlunsplit

from labq.node import AGENT_PREFIX
from labq.store import keys
from labq.store.connection import Connection, RefusedCommand, answers

#: Field of the hash, and no node's name: users of nodes are kept here.
_KEPT = "."
#: All but what administers Redis or blocks it, and of that what RQ's registration needs. Redis 6.2 and newer.
_COMMANDS = ("+@all", "-@admin", "-@dangerous", "+client|setname", "+client|list", "+info")
#: What an agent reads or writes, of all jobs and images; {} is its own name. Not people, tokens, other nodes' leases and
#: messages, the deciding loop, notices, runs of the provisioner.
_KEYS = (
    *(keys.JOB + "*", keys.ACTIVE, keys.ENDED, keys.ARRAY + "*", keys.SECRETS + "*", keys.QUEUED + "*"),
    *(keys.LEASES + "{}", keys.NODES, keys.NODE + "{}", keys.IMAGE + "*", keys.IMAGES, keys.EVENTS),
    *(keys.USAGE_NODES, keys.USAGE + "{}"),
    *("rq:queues", "rq:queue:node-{}", "rq:queue:node-{}:*", "rq:job:*", "rq:workers", "rq:workers:node-{}", "rq:worker:{}-*"),
)  # fmt: skip
#: How Redis begins to say that it does not know a rule.
_OLD = "Error in ACL SETUSER modifier"
#: What it only reads; Redis 6.2 does not know the difference, and lets it write these, too.
_READ_ONLY = (keys.KEEP, "rq:suspended")


class NodeUserStore:
    """Which nodes have a user of their own."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``, whose user must be allowed to make users."""
        self._redis = connection

    @answers
    def give(self, node: str) -> str | None:
        """Return a new password of the node's user, good from now on; None when this Redis has no users to give.

        Connections that were made with the one before are cut: another machine may have had the name.
        """
        password = secrets.token_urlsafe(32)
        # The hash first: whoever puts users right at this moment would take one away that the hash does not know.
        self._redis.client.hset(keys.NODE_USERS, node, _digest(password))
        try:
            self._redis.client.execute_command("ACL DELUSER", AGENT_PREFIX + node)
            self._set(node, _digest(password))
        except RefusedCommand as error:
            self._redis.client.hdel(keys.NODE_USERS, node)
            if _no_users(error):
                return None
            raise
        return password

    @answers
    def forget(self, node: str) -> bool:
        """Take the node's user away and cut its connections; return whether there was one."""
        known = bool(self._redis.client.hdel(keys.NODE_USERS, node))
        try:
            gone = int(self._redis.client.execute_command("ACL DELUSER", AGENT_PREFIX + node))
        except RefusedCommand as error:
            if not _no_users(error):
                raise
            gone = 0
        return known or gone > 0

    @answers
    def put_right(self, *, anew: bool = False) -> int | None:
        """Make Redis' users what the hash says.

        Args:
            anew: also those that are there: their rights may be those of an older labq.

        Returns:
            How many were made or taken away; None when this Redis has no users to give.
        """
        client = self._redis.client
        try:
            # Before the hash, which is written first: what is in neither was made or taken away meanwhile.
            there = {words[1]: words for words in map(str.split, client.execute_command("ACL LIST"))}
            client.hset(keys.NODE_USERS, _KEPT, "on")
            wanted = {name: value for name, value in client.hgetall(keys.NODE_USERS).items() if name != _KEPT}
            wrong = [
                (name, digest)
                for name, digest in wanted.items()
                if anew or f"#{digest}" not in there.get(AGENT_PREFIX + name, ())
            ]
            for name, digest in wrong:
                self._set(name, digest)
            ours = {AGENT_PREFIX + name for name in wanted}
            strays = [user for user in there if user.startswith(AGENT_PREFIX) and user not in ours]
            if strays:
                client.execute_command("ACL DELUSER", *strays)
        except RefusedCommand as error:
            if not _no_users(error):
                raise
            client.hdel(keys.NODE_USERS, _KEPT)
            return None
        return len(wrong) + len(strays)

    @answers
    def are_kept(self) -> bool:
        """Return whether the lab gives each node a user of its own. Only who is no such user may ask."""
        return bool(self._redis.client.hexists(keys.NODE_USERS, _KEPT))

    @answers
    def names(self) -> set[str]:
        """Return the nodes that have a user of their own."""
        return set(self._redis.client.hkeys(keys.NODE_USERS)) - {_KEPT}

    def _set(self, node: str, digest: str) -> None:
        rules = [
            "reset",
            "on",
            f"#{digest}",
            "resetchannels",
            *_COMMANDS,
            *(f"~{each.format(node)}" for each in _KEYS),
        ]
        read_only = [f"%R~{each}" for each in _READ_ONLY]
        try:
            self._redis.client.execute_command("ACL SETUSER", AGENT_PREFIX + node, *rules, *read_only)
        except RefusedCommand as error:
            if _OLD not in str(error):
                raise
            read_only = [f"~{each}" for each in _READ_ONLY]
            self._redis.client.execute_command("ACL SETUSER", AGENT_PREFIX + node, *rules, *read_only)


def url_of_node(url: str, node: str, password: str) -> str:
    """Return the address of Redis with the node's user in the place of whose ever it has. Pure."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{AGENT_PREFIX}{node}:{password}@{place}"))


def has_user(url: str) -> bool:
    """Return whether the address names a user; without one it is Redis' default. Pure."""
    return bool(urlsplit(url).username)


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _no_users(error: RefusedCommand) -> bool:
    """Whether Redis is too old for users, or ours may not make them (a hosted one)."""
    return any(
        word in str(error) for word in ("unknown command", "Unknown subcommand", "no permissions", _OLD)
    )
