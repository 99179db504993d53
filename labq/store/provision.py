"""Runs of the provisioner: their records and events, who asked to cancel, and whether a provisioner lives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from labq.errors import ConflictError, NotFoundError
from labq.provision import FINAL, Run, RunState
from labq.provision_request import Request
from labq.store import keys
from labq.store.connection import Connection, answers

#: Seconds that a run is kept after its end: a semester and a bit.
KEEP = 180 * 86400
#: Events of one run that are kept: 200 tasks on 30 hosts are 6,000.
MAX_EVENTS = 20_000
#: Seconds after which a provisioner that says nothing counts as gone; it says so every 2.
ALIVE = 10


class ProvisionStore:
    """Runs, newest last."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``."""
        self._redis = connection

    @answers
    def make(self, request: Request, by: str, *, now: float) -> Run:
        """Write a new run down and return it."""
        client = self._redis.client
        run = Run(str(client.incr(keys.PROVISION_SEQ)), request, by, now)
        pipe = client.pipeline()
        pipe.hset(keys.PROVISION_RUN + run.id, mapping={"state": str(run.state), "body": _text(run)})
        pipe.zadd(keys.PROVISION_RUNS, {run.id: int(run.id)})
        pipe.execute()
        return run

    @answers
    def write(self, old: Run, new: Run) -> Run:
        """Write ``new`` over ``old``, whose state must still be the one in Redis; return ``new``.

        Raises:
            ConflictError: it is in another state; ``details["state"]`` is that.
        """
        keep = KEEP if new.state in FINAL else 0
        found = self._redis.script(
            "provision_write", [old.id, str(old.state), str(new.state), _text(new), keep]
        )
        if found != new.state:
            raise ConflictError(
                f"run {old.id} is {found or 'gone'}, not {old.state}",
                f"labq provision show {old.id}",
                state=found,
            )
        return new

    @answers
    def get(self, run_id: str) -> Run:
        """Return a run.

        Raises:
            NotFoundError: there is none.
        """
        found = self._redis.client.hmget(keys.PROVISION_RUN + run_id, "state", "body")
        if not found[0]:
            raise NotFoundError(f"there is no run {run_id[:100]!r}", "labq provision ls")
        return _run(found)

    @answers
    def last(self, limit: int) -> list[Run]:
        """Return the last runs, newest last."""
        client = self._redis.client
        ids = client.zrange(keys.PROVISION_RUNS, -limit, -1) if limit > 0 else []
        pipe = client.pipeline(transaction=False)
        for run_id in ids:
            pipe.hmget(keys.PROVISION_RUN + run_id, "state", "body")
        found = dict(zip(ids, pipe.execute(), strict=True))
        gone = [run_id for run_id, fields in found.items() if not fields[0]]
        if gone:
            client.zrem(keys.PROVISION_RUNS, *gone)
        return [_run(fields) for fields in found.values() if fields[0]]

    def active(self) -> list[Run]:
        """Return the runs that have not ended."""
        return [run for run in self.last(200) if run.state not in FINAL]

    @answers
    def tell(self, run_id: str, first: int, events: Sequence[dict[str, Any]]) -> int:
        """Add events, each once however often they are sent; return how many there are now.

        Fewer than ``first - 1``: some were lost, none of these was added, and the lost ones are to be sent first.

        Args:
            run_id: of the run.
            first: number of the first of them; they count up from 1.
            events: their wire forms.
        """
        texts = [json.dumps(event, ensure_ascii=False) for event in events]
        return int(self._redis.script("provision_tell", [run_id, first, MAX_EVENTS, *texts]))

    @answers
    def events(self, run_id: str, after: int, limit: int) -> list[dict[str, Any]]:
        """Return the events behind the one with that number, at most ``limit``."""
        found = self._redis.client.lrange(keys.PROVISION_EVENTS + run_id, after, after + limit - 1)
        return [json.loads(text) for text in found]

    @answers
    def ask_to_cancel(self, run_id: str, by: str) -> None:
        """Note who wants the run cancelled; its driver looks for that."""
        self._redis.client.hsetnx(keys.PROVISION_RUN + run_id, "cancel", by)

    @answers
    def cancel_asked(self, run_id: str) -> str:
        """Return who asked to cancel; "" = nobody."""
        return self._redis.client.hget(keys.PROVISION_RUN + run_id, "cancel") or ""

    @answers
    def beat(self) -> None:
        """Note that a provisioner lives."""
        self._redis.client.set(keys.PROVISION_ALIVE, "1", ex=ALIVE)

    @answers
    def alive(self) -> bool:
        """Return whether a provisioner lives."""
        return bool(self._redis.client.exists(keys.PROVISION_ALIVE))


def _text(run: Run) -> str:
    return json.dumps(run.to_json(), ensure_ascii=False)


def _run(fields: Sequence[str]) -> Run:
    # The state beside the body is the one that the script compares: it is the truth.
    return replace(Run.from_json(json.loads(fields[1])), state=RunState(fields[0]))
