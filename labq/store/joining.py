"""One-time tokens with which a machine joins the lab. Kept as SHA-256 only, for ten minutes, one for each name."""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Literal

from labq.store import keys
from labq.store.connection import Connection, answers
from labq.store.people import token_digest

#: Seconds for which a token is good: a play uses it at once, a person types one command.
GOOD_FOR = 600
_PREFIX = "labq-join_"
#: As secrets.token_urlsafe(32) makes them: what has another form is refused without asking Redis.
_FORM = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{43}}")
_USED = "used:"
Verdict = Literal["good", "used", "unknown"]


class JoinStore:
    """Who may join."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``."""
        self._redis = connection

    @answers
    def new_token(self, name: str) -> str:
        """Return a new token for a node of that name; the one before it is good no more."""
        token = _PREFIX + secrets.token_urlsafe(32)
        self._redis.client.set(keys.JOIN + name, token_digest(token), ex=GOOD_FOR)
        return token

    @answers
    def use_up(self, name: str, token: str) -> Verdict:
        """Return what the token was worth; a good one is good no more after this."""
        if not _FORM.fullmatch(token):
            return "unknown"
        kept, digest = self._redis.client.get(keys.JOIN + name) or "", token_digest(token)
        if hmac.compare_digest(kept, _USED + digest):
            return "used"
        if not hmac.compare_digest(kept, digest):
            return "unknown"
        (won,) = self._redis.script("join", [name, digest])
        return "good" if won == "1" else "used"

    @answers
    def forget(self, name: str) -> bool:
        """Return whether there was a token of that name; there is none after this."""
        return bool(self._redis.client.delete(keys.JOIN + name))
