"""What agents measured, on its way to the records: absolute rows in Redis, so that writing twice is writing once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from labq.store import keys
from labq.store.connection import Connection, answers
from labq.usage import UsageRow, flaw

log = logging.getLogger(__name__)
#: Rows in one run of a script: Redis serves nobody else meanwhile.
_PART = 1000
_SIDES = {"in": False, "out": True}


class UsageStore:
    """One hash for each node; the agent writes it, a recorder empties it."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``."""
        self._redis = connection
        #: nodes of which it was said that they write what is no row
        self._told: set[str] = set()

    @answers
    def write(self, node: str, rows: Iterable[UsageRow]) -> None:
        """Write rows over what was said before of the same hour, epoch, GPU, user and side; a smaller one changes nothing.

        Raises:
            UnavailableError: Redis does not answer; nothing is lost when the caller writes again later.
        """
        self._script("usage_write", node, [(_field(row), _value(row)) for row in rows])

    @answers
    def nodes(self) -> list[str]:
        """Return the names of the nodes that rows are kept of, sorted; also of nodes that were removed since."""
        found = self._redis.client.execute_command("SMEMBERS", keys.USAGE_NODES, NEVER_DECODE=True)
        return sorted(name for each in found if (name := _text(each)) is not None)

    def read(self, node: str) -> list[UsageRow]:
        """Return the rows of a node that are not forgotten yet. What is no row is dropped."""
        return self._read([node])

    def read_all(self) -> list[UsageRow]:
        """Return the rows of all nodes. What is no row is dropped: one node's fault must not stop the others."""
        return self._read(self.nodes())

    @answers
    def forget(self, rows: Iterable[UsageRow]) -> int:
        """Drop rows that are recorded; one that was written anew since it was read stays. Return how many went."""
        by_node: dict[str, list[tuple[str, str]]] = {}
        for row in rows:
            by_node.setdefault(row.node, []).append((_field(row), _value(row)))
        return sum(self._script("usage_forget", node, pairs) for node, pairs in by_node.items())

    @answers
    def _read(self, nodes: Sequence[str]) -> list[UsageRow]:
        # Bytes: a text that is not UTF-8 would fail the whole answer.
        pipe = self._redis.client.pipeline(transaction=False)
        for node in nodes:
            pipe.execute_command("HGETALL", keys.USAGE + node, NEVER_DECODE=True)
        found: list[UsageRow] = []
        for node, flat in zip(nodes, pipe.execute(raise_on_error=False), strict=True):
            if isinstance(flat, Exception):
                if not str(flat).startswith("WRONGTYPE"):
                    raise flat
                self._tell(node, str(flat))
                self._redis.client.delete(keys.USAGE + node)
            else:
                found += self._sorted_out(node, flat)
        return found

    def _sorted_out(self, node: str, flat: Mapping[bytes, bytes]) -> list[UsageRow]:
        """Return what are rows, and drop what are none."""
        found, bad = [], []
        for name, text in flat.items():
            row = _row(node, name, text)
            if isinstance(row, UsageRow):
                found.append(row)
            else:
                self._tell(node, f"{row}: {name!r:.200} = {text!r:.200}")
                bad.append((name, text))
        self._script("usage_forget", node, bad)
        return found

    def _tell(self, node: str, what: str) -> None:
        if node not in self._told:
            self._told.add(node)
            log.warning("what node %s wrote of its use is no row and is dropped, told once: %s", node, what)

    def _script(self, name: str, node: str, pairs: Sequence[tuple[Any, Any]]) -> int:
        count = 0
        for start in range(0, len(pairs), _PART):
            flat = [each for pair in pairs[start : start + _PART] for each in pair]
            (done,) = self._redis.script(name, [node, *flat])
            count += int(done)
        return count


def _field(row: UsageRow) -> str:
    # JSON, since a person, a GPU or an epoch may hold any character.
    return _json([row.hour, row.epoch, row.gpu, row.user, "out" if row.outside else "in"])


def _value(row: UsageRow) -> str:
    return _json([row.model, row.held, row.busy])


def _json(body: list[str | int | float]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _row(node: str, name: bytes, text: bytes) -> UsageRow | str:
    """Return the row, or what is wrong with it."""
    try:
        hour, epoch, gpu, user, side = json.loads(name)
        model, held, busy = json.loads(text)
        row = UsageRow(hour, node, epoch, gpu, model, user, _SIDES[side], held, busy)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return f"not in the form of a row ({type(error).__name__})"
    if wrong := flaw(row):
        return wrong
    # Else it could not be forgotten, which goes by the very text.
    return row if (_field(row).encode(), _value(row).encode()) == (name, text) else "not as labq writes it"
