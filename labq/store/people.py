"""People and tokens in Redis. Tokens are kept as SHA-256 only: who reads Redis cannot act as somebody."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, fields

from labq.store import keys
from labq.store.connection import Connection, answers


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody (or a node's agent) who may speak to the server."""

    name: str
    #: unix ids with which their containers run
    uid: int = 65534
    gid: int = 65534
    admin: bool = False
    #: an agent: may read contexts and write logs and outputs, may not submit
    agent: bool = False
    #: whom their use is summed up with; "" = nobody
    group: str = ""
    #: by which Slack mentions them; "" = it does not
    slack_id: str = ""


class PeopleStore:
    """Users and the digests of their tokens."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``."""
        self._redis = connection

    @answers
    def put(self, person: Person) -> None:
        """Write or change a person."""
        self._redis.client.hset(keys.USERS, person.name, json.dumps(asdict(person)))

    @answers
    def get(self, name: str) -> Person | None:
        """Return the person of that name."""
        text = self._redis.client.hget(keys.USERS, name)
        return _person(text) if text else None

    @answers
    def all(self) -> list[Person]:
        """Return everybody, sorted by name."""
        found = self._redis.client.hgetall(keys.USERS)
        return sorted((_person(text) for text in found.values()), key=lambda p: p.name)

    @answers
    def remove(self, name: str) -> bool:
        """Forget a person and all their tokens; return whether there was anything to forget."""
        known = bool(self._redis.client.hdel(keys.USERS, name))
        return self.revoke(name) > 0 or known

    @answers
    def revoke(self, name: str) -> int:
        """Forget all tokens of a person; return how many there were."""
        digests = [
            digest for digest, owner in self._redis.client.hgetall(keys.TOKENS).items() if owner == name
        ]
        return int(self._redis.client.hdel(keys.TOKENS, *digests)) if digests else 0

    def new_token(self, name: str) -> str:
        """Return a new token of a person; it is shown once and kept as a digest."""
        token = "labq_" + secrets.token_urlsafe(32)
        self.add_token(name, token)
        return token

    @answers
    def add_token(self, name: str, token: str) -> None:
        """Accept ``token`` for the person ``name``."""
        self._redis.client.hset(keys.TOKENS, token_digest(token), name)

    @answers
    def whose(self, token: str) -> Person | None:
        """Return whose token it is; None when nobody's."""
        name = self._redis.client.hget(keys.TOKENS, token_digest(token))
        return self.get(name) if name else None


def _person(text: str) -> Person:
    """Return the person of a record; what a newer version wrote into it and this one does not know is left out."""
    known = {field.name for field in fields(Person)}
    return Person(**{key: value for key, value in json.loads(text).items() if key in known})


def token_digest(token: str) -> str:
    """Return as what a token is kept."""
    return hashlib.sha256(token.encode()).hexdigest()
