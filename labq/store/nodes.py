"""Nodes in Redis: register, heartbeat, drain, lose."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from labq import clock
from labq.errors import NotFoundError
from labq.node import Node
from labq.readings import read_readings
from labq.store import keys
from labq.store.connection import Connection, answers

log = logging.getLogger(__name__)


class NodeStore:
    """Nodes and what they last said of themselves."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``."""
        self._redis = connection

    @answers
    def register(self, node: Node, *, now: float, readings: Mapping[str, Any] | None = None) -> None:
        """Write the node (new, or changed: another GPU, a fault) and mark it alive, with an event.

        Args:
            node: what it says of itself.
            now: seconds since the epoch.
            readings: of this moment. Without them nobody has looked at its GPUs: those of an agent that died say
                nothing of what goes on now.
        """
        body = json.dumps(node.to_wire(), ensure_ascii=False)
        said = json.dumps({"clock": now, **(readings or {})})
        fields = json.dumps({"body": body, "alive": "1", "readings": said}, ensure_ascii=False)
        self._redis.script("beat", [node.name, fields, "register", now])

    @answers
    def heartbeat(self, name: str, readings: Mapping[str, Any], *, now: float) -> bool:
        """Note that the node is there, with its readings.

        When it was heard is said by Redis' clock. ``now``, the node's own, becomes the reading "clock".

        Returns:
            False when the node is not registered or was declared lost: register again.
        """
        fields = json.dumps({"readings": json.dumps({"clock": now, **readings})})
        (alive,) = self._redis.script("beat", [name, fields, "", now])
        return bool(alive == "1")

    @answers
    def all(self) -> list[Node]:
        """Return every node, sorted by name."""
        return [node for node, _ in self.all_with_readings()]

    @answers
    def all_with_readings(self) -> list[tuple[Node, dict[str, Any]]]:
        """Return every node with its latest readings (empty when it sent none), sorted by name.

        Heartbeats are told by the clock of this process. A node whose record cannot be read is left out.
        """
        flats, ahead = self._read(sorted(self._redis.client.smembers(keys.NODES)))
        found = []
        for flat in flats:
            try:
                node = _node(flat, ahead)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                log.warning(
                    "a node's record cannot be read and is left out: %s: %s", type(error).__name__, error
                )
                continue
            found.append((node, read_readings(flat.get("readings", "{}"))))
        return found

    @answers
    def get(self, name: str) -> Node:
        """Return one node.

        Raises:
            NotFoundError: no node of that name has registered.
        """
        flats, ahead = self._read([name])
        if not flats:
            raise NotFoundError(f"there is no node {name!r}", "labq nodes")
        return _node(flats[0], ahead)

    @answers
    def set_drained(self, name: str, reason: str, *, now: float) -> None:
        """Stop (``reason``) or resume ("") placing jobs on a node."""
        self.get(name)
        pipe = self._redis.client.pipeline(transaction=True)
        pipe.hset(keys.NODE + name, "drained", reason)
        self._event(pipe, name, "drained" if reason else "resumed", now, reason)
        pipe.execute()

    @answers
    def change_drain(self, name: str, *, was: str, becomes: str, now: float) -> bool:
        """Stop or resume placing jobs on a node, unless somebody was faster.

        Args:
            name: of the node.
            was: the reason that its drain must have now; "" = it must have none.
            becomes: the new reason; "" = it takes work.
            now: seconds since the epoch.

        Returns:
            False when it is not registered or its drain is another.
        """
        (done,) = self._redis.script("drain", [name, was, becomes, now])
        return bool(done == "1")

    @answers
    def set_lost(self, name: str, *, now: float) -> None:
        """Declare a node lost; it must register again before it takes work."""
        pipe = self._redis.client.pipeline(transaction=True)
        pipe.hset(keys.NODE + name, "alive", 0)
        self._event(pipe, name, "lost", now, "")
        pipe.execute()

    @answers
    def remove(self, name: str, *, now: float) -> None:
        """Forget a node."""
        pipe = self._redis.client.pipeline(transaction=True)
        pipe.srem(keys.NODES, name)
        pipe.delete(keys.NODE + name)
        self._event(pipe, name, "removed", now, "")
        pipe.execute()

    def _read(self, names: Sequence[str]) -> tuple[list[dict[str, str]], float]:
        """Return the nodes of these names that are registered, and how far our clock is ahead of Redis'."""
        pipe = self._redis.client.pipeline(transaction=False)
        pipe.time()
        for name in names:
            pipe.hgetall(keys.NODE + name)
        before = clock.now()
        (seconds, micros), *flats = pipe.execute()
        ahead = (before + clock.now()) / 2 - (seconds + micros / 1e6)
        return [flat for flat in flats if flat.get("body")], ahead

    def _event(self, pipe: Any, name: str, what: str, now: float, reason: str) -> None:
        fields = {"type": "node", "at": now, "node": name, "what": what, "reason": reason}
        pipe.xadd(keys.EVENTS, fields, maxlen=keys.MAX_EVENTS, approximate=True)


def _node(flat: Mapping[str, str], ahead: float) -> Node:
    return Node.from_wire(
        json.loads(flat["body"]),
        heartbeat=float(flat.get("heartbeat", 0)) + ahead,
        drained=flat.get("drained", ""),
        alive=flat.get("alive") == "1",
    )
