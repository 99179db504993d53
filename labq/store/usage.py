"""What agents measured, on its way to the records: absolute rows in Redis, so that writing twice is writing once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping

from labq.store import keys
from labq.store.connection import Connection, answers
from labq.usage import UsageRow

log = logging.getLogger(__name__)


class UsageStore:
    """One hash for each node; the agent writes it, a recorder empties it."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``."""
        self._redis = connection

    @answers
    def write(self, node: str, rows: Iterable[UsageRow]) -> None:
        """Write rows over what was said before of the same hour, epoch, GPU, user and side.

        Raises:
            UnavailableError: Redis does not answer; nothing is lost when the caller writes again later.
        """
        written = {_field(row): _value(row) for row in rows}
        if not written:
            return
        pipe = self._redis.client.pipeline(transaction=True)
        pipe.sadd(keys.USAGE_NODES, node)
        pipe.hset(keys.USAGE + node, mapping=written)
        pipe.execute()

    @answers
    def nodes(self) -> list[str]:
        """Return the names of the nodes that rows are kept of, sorted; also of nodes that were removed since."""
        return sorted(self._redis.client.smembers(keys.USAGE_NODES))

    @answers
    def read(self, node: str) -> list[UsageRow]:
        """Return the rows of a node that are not forgotten yet."""
        return _rows(node, self._redis.client.hgetall(keys.USAGE + node))

    @answers
    def read_all(self) -> list[UsageRow]:
        """Return the rows of all nodes."""
        nodes = self.nodes()
        pipe = self._redis.client.pipeline(transaction=False)
        for node in nodes:
            pipe.hgetall(keys.USAGE + node)
        return [row for node, flat in zip(nodes, pipe.execute(), strict=True) for row in _rows(node, flat)]

    @answers
    def forget(self, rows: Iterable[UsageRow]) -> int:
        """Drop rows that are recorded; one that was written anew since it was read stays. Return how many went."""
        gone = 0
        by_node: dict[str, list[str]] = {}
        for row in rows:
            by_node.setdefault(row.node, []).extend((_field(row), _value(row)))
        for node, pairs in by_node.items():
            (count,) = self._redis.script("usage_forget", [node, json.dumps(pairs, ensure_ascii=False)])
            gone += int(count)
        return gone


def _field(row: UsageRow) -> str:
    # JSON, since a person, a GPU or an epoch may hold any character.
    return _json([row.hour, row.epoch, row.gpu, row.user, "out" if row.outside else "in"])


def _value(row: UsageRow) -> str:
    return _json([row.model, row.held, row.busy])


def _json(body: list[str | int | float]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _rows(node: str, flat: Mapping[str, str]) -> list[UsageRow]:
    found = []
    for name, text in flat.items():
        try:
            hour, epoch, gpu, user, side = json.loads(name)
            model, held, busy = json.loads(text)
        except ValueError:
            log.warning("a row of the use of node %s cannot be read; it is left out: %.200s", node, name)
            continue
        found.append(UsageRow(hour, node, epoch, gpu, model, user, side == "out", held, busy))
    return found
