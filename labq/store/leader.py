"""The deciding loop's lease, with a fencing number that every decision names."""

from __future__ import annotations

import secrets

from labq.store import keys
from labq.store.connection import Connection, answers


class LeaderLease:
    """One candidate for leadership."""

    def __init__(self, connection: Connection, lease_seconds: float = 5.0) -> None:
        """Be a candidate.

        Args:
            connection: the Redis.
            lease_seconds: how long leadership lasts without renewal.
        """
        self._redis = connection
        self._token = secrets.token_hex(8)
        self._millis = int(lease_seconds * 1000)

    @answers
    def acquire(self) -> int | None:
        """Take or keep the lease; return its fencing number, or None when another leads."""
        fence = self._redis.script("leader", [self._token, self._millis])
        return int(fence) or None

    @answers
    def release(self) -> None:
        """Give the lease back, so that a standby need not wait."""
        if self._redis.client.get(keys.LEADER) == self._token:
            self._redis.client.delete(keys.LEADER)
