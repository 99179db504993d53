"""What people are to be told: notices, their lanes, dead letters; and what each person wants.

A *lane* holds the notices of one person in the order in which they are told. A notice is made in the same step
in which the notifier's cursor moves on (notice_make.lua), and whatever becomes of it is written only by the process
that holds its lane (notice_settle.lua).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from labq.notify import Preferences, stored_preferences
from labq.store import keys
from labq.store.connection import Connection, answers

CURSOR = "notices"
#: Seconds that a sent notice is remembered, and dead letters kept: as long as a finished job by default.
KEEP = keys.KEEP_SECONDS
MOST_DEAD = 1000
#: Most things that one digest lists; it counts them all.
MOST_ITEMS = 500
#: Notices that wait in a lane; more are folded into one digest: nobody reads so many messages.
MOST_WAITING = 200
#: Seconds that a notifier counts as alive after it last said so.
ALIVE = 10.0


@dataclass(frozen=True, slots=True)
class NewNotice:
    """A notice to be made. The same id made twice is one notice."""

    id: str
    #: whose it is
    lane: str
    kind: str
    #: JSON of what it tells
    item: str
    #: what it is gathered with; "" = it stands alone
    gather: str = ""
    #: seconds since the epoch until which it is held; 0 = not
    due: float = 0.0
    #: seconds within which more of the same are gathered; 0 = not
    window: float = 0.0


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice and what became of it so far."""

    id: str
    lane: str
    kind: str
    #: made, sending, sent or dead
    state: str
    made_at: float
    #: when it came into its lane (after quiet hours, sent again): giving up counts from there
    since: float
    #: JSON texts of what it tells, at most ``MOST_ITEMS``, and how many there are
    items: tuple[str, ...]
    total: int
    tries: int = 0
    #: of the first try; 0 = not tried yet
    first_try: float = 0.0
    error: str = ""
    #: Slack's id of the conversation it was, or was about to be, sent to
    place: str = ""
    #: True: it may have arrived, nobody saw the answer
    unsure: bool = False
    sent_at: float = 0.0
    #: seconds since the epoch before which it is not tried again
    not_before: float = 0.0


class NoticeStore:
    """Notices in Redis."""

    def __init__(self, connection: Connection) -> None:
        """Use ``connection``."""
        self._redis = connection

    @answers
    def make(
        self, notices: Sequence[NewNotice], *, now: float, cursor: str = "", moved_to: str = ""
    ) -> int | None:
        """Make notices and move the cursor, all or none.

        Args:
            notices: in the order in which they are told.
            now: seconds since the epoch.
            cursor: what the cursor is expected to be; "" = it is not moved.
            moved_to: the new cursor.

        Returns:
            How many were made or added to a digest; None when another notifier has moved the cursor: nothing was done.
        """
        body = json.dumps([asdict(notice) for notice in notices]) if notices else "[]"
        made = int(self._redis.script("notice_make", [cursor, moved_to, now, KEEP, body, MOST_ITEMS]))
        return None if made < 0 else made

    @answers
    def due(self, *, now: float, again: float) -> list[str]:
        """Release what was held until now; return the first notice of each lane that is to be worked.

        Args:
            now: seconds since the epoch.
            again: seconds until a lane is returned again, should nothing come of it.
        """
        return [str(found) for found in self._redis.script("notice_due", [now, again, KEEP])]

    @answers
    def fold(self, lanes: Iterable[str], *, now: float, most: int = MOST_WAITING) -> int:
        """Make one digest of what waits in each of those lanes that is longer than ``most``; return how many went into them."""
        return int(self._redis.script("notice_fold", [now, most, MOST_ITEMS, *lanes]))

    @answers
    def beat(self, token: str, kinds: Sequence[str]) -> None:
        """Say that the notifier ``token`` lives, and which kinds of channels it sends to."""
        pipe = self._redis.client.pipeline()
        pipe.set(f"{keys.NOTICES}process:{token}", "1", px=int(ALIVE * 1000))
        pipe.set(f"{keys.NOTICES}alive", ",".join(kinds), px=int(ALIVE * 1000))
        pipe.execute()

    @answers
    def alive(self) -> list[str] | None:
        """Return the kinds of channels that the living notifier sends to; None when there is none."""
        text = self._redis.client.get(f"{keys.NOTICES}alive")
        return None if text is None else [kind for kind in text.split(",") if kind]

    @answers
    def take(self, lane: str, token: str) -> bool:
        """Return True when the process ``token`` holds the lane now; False when another living one does."""
        return bool(self._redis.script("notice_take", [lane, token, int(ALIVE * 1000)]))

    @answers
    def release(self, lane: str, token: str) -> bool:
        """Let go of a lane that was taken; False when another process has it by now."""
        return bool(self._redis.script("notice_release", [lane, token]))

    @answers
    def head(self, lane: str) -> Notice | None:
        """Return the notice that a person is told next."""
        found = self._redis.client.lindex(f"{keys.NOTICES}lane:{lane}", 0)
        return self.get(found) if found else None

    @answers
    def settle(
        self,
        notice: Notice,
        token: str,
        state: str,
        *,
        now: float,
        again: float,
        **fields: str | float,
    ) -> bool:
        """Write what became of the first notice of a lane.

        Args:
            notice: as it was read.
            token: of the process that holds the lane.
            state: made (not sent), sending, sent or dead.
            now: seconds since the epoch.
            again: when the lane is worked next.
            **fields: fields of ``Notice`` that change.

        Returns:
            False when the lane is another's by now: nothing was written.
        """
        body = json.dumps(fields or {"id": notice.id})
        arguments: list[str | int | float] = [
            notice.lane,
            token,
            notice.id,
            state,
            body,
            again,
            KEEP,
            MOST_DEAD,
            now,
        ]
        return bool(self._redis.script("notice_settle", arguments))

    @answers
    def get(self, notice_id: str) -> Notice | None:
        """Return a notice; None when it was never made, or is forgotten."""
        key = keys.NOTICE + notice_id
        pipe = self._redis.client.pipeline()
        pipe.hgetall(key)
        pipe.lrange(f"{key}:items", 0, MOST_ITEMS - 1)
        pipe.llen(f"{key}:items")
        flat, items, total = pipe.execute()
        return _notice(flat, tuple(items), total + int(flat.get("more", 0))) if flat else None

    @answers
    def pause(self, name: str, seconds: float) -> None:
        """Send nothing of a kind of channel ("slack"), or to one place ("slack C012AB3CD"), for so long."""
        self._redis.client.set(f"{keys.NOTICES}pause:{name}", "1", px=max(1, int(seconds * 1000)))

    @answers
    def paused(self, name: str) -> float:
        """Return for how many more seconds nothing of that kind, or to that place, is sent."""
        left = int(self._redis.client.pttl(f"{keys.NOTICES}pause:{name}"))
        return max(0.0, left / 1000)

    @answers
    def pace(self, name: str, seconds: float) -> float:
        """Return 0.0 and take the place for so long; or return for how many more seconds it is taken."""
        taken = self._redis.client.set(
            f"{keys.NOTICES}pause:{name}", "1", nx=True, px=max(1, int(seconds * 1000))
        )
        # It may be free again by now: then whoever asks comes back at once.
        return 0.0 if taken else max(0.001, self.paused(name))

    @answers
    def limited(self, kind: str, place: str, seconds: float) -> bool:
        """Note that a place takes no more for so long; return whether another one said so, too, not long ago."""
        key = f"{keys.NOTICES}limited:{kind}"
        before = self._redis.client.set(key, place, px=max(1, int(seconds * 1000)), get=True)
        return before is not None and before != place

    @answers
    def dead(self, lane: str | None = None) -> list[Notice]:
        """Return the dead letters, the latest first: all, or one person's."""
        ids = self._redis.client.zrange(keys.NOTICE_DEAD, 0, -1, desc=True)
        found = [notice for notice in map(self.get, ids) if notice is not None]
        return [notice for notice in found if lane is None or notice.lane == lane]

    @answers
    def dead_since(self, moment: float) -> int:
        """Return how many of the dead letters died after ``moment``, seconds since the epoch."""
        return int(self._redis.client.zcount(keys.NOTICE_DEAD, moment, "+inf"))

    @answers
    def forget_dead(self, notice_id: str) -> bool:
        """Forget a dead letter; False when there is none of that id (it may be sent again at this moment)."""
        if not self._redis.client.zrem(keys.NOTICE_DEAD, notice_id):
            return False
        self._redis.client.delete(keys.NOTICE + notice_id, f"{keys.NOTICE}{notice_id}:items")
        return True

    @answers
    def forget_person(self, user: str) -> int:
        """Forget what a person wants to be told and what they were still to be told; return how many notices that were.

        Else the next person of that name would be told it.
        """
        return int(self._redis.script("notice_forget", [user]))

    @answers
    def last_test(self, user: str) -> Notice | None:
        """Return the last notice that :meth:`note_test` noted."""
        found = self._redis.client.get(f"{keys.NOTICES}test:{user}")
        return self.get(found) if found else None

    @answers
    def note_test(self, user: str, notice_id: str) -> None:
        """Remember the notice with which a person tests their channel; "" = none."""
        self._redis.client.set(f"{keys.NOTICES}test:{user}", notice_id, ex=KEEP)

    @answers
    def retry(self, notice_id: str, *, now: float) -> bool:
        """Put a dead letter back into its lane; False when there is none."""
        return bool(self._redis.script("notice_retry", [notice_id, now]))

    @answers
    def lane(self, lane: str) -> list[str]:
        """Return the ids of what a person is still to be told."""
        return list(self._redis.client.lrange(f"{keys.NOTICES}lane:{lane}", 0, -1))

    @answers
    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many notices ended, by kind and outcome (sent, dead)."""
        found = self._redis.client.hgetall(keys.NOTICE_COUNTS)
        return {_pair(name): int(count) for name, count in found.items()}

    @answers
    def waiting(self) -> tuple[int, int]:
        """Return how many notices are not sent yet (held ones too), and how many dead letters there are."""
        client = self._redis.client
        # In one step: what is released in between would be counted nowhere.
        first = client.pipeline(transaction=True)
        first.zcard(keys.NOTICE_HELD).zcard(keys.NOTICE_DEAD).zrange(keys.NOTICE_LANES, 0, -1)
        held, dead, lanes = first.execute()
        pipe = client.pipeline(transaction=False)
        for lane in lanes:
            pipe.llen(f"{keys.NOTICES}lane:{lane}")
        lengths = pipe.execute()
        return held + sum(lengths), dead

    @answers
    def first_time(self, request: str) -> bool:
        """Return True once for each request of Slack, however often it is sent."""
        return bool(self._redis.client.set(f"{keys.NOTICES}seen:{request}", "1", nx=True, ex=3600))

    @answers
    def preferences(self, user: str) -> Preferences:
        """Return what a person wants to be told."""
        text = self._redis.client.hget(keys.NOTIFY, user)
        return stored_preferences(text) if text else Preferences()

    @answers
    def put_preferences(self, user: str, wanted: Preferences) -> None:
        """Write what a person wants to be told."""
        self._redis.client.hset(keys.NOTIFY, user, json.dumps(wanted.to_wire()))


def _notice(flat: Mapping[str, str], items: tuple[str, ...], total: int) -> Notice:
    numbers: dict[str, Any] = {
        name: float(flat.get(name) or 0)
        for name in ("made_at", "since", "first_try", "sent_at", "not_before")
    }
    numbers["since"] = numbers["since"] or numbers["made_at"]
    return Notice(
        flat["id"], flat["lane"], flat["kind"], flat["state"], items=items, total=total, tries=int(flat["tries"]),
        error=flat.get("error", ""), place=flat.get("place", ""), unsure=flat.get("unsure") == "1", **numbers,
    )  # fmt: skip


def _pair(name: str) -> tuple[str, str]:
    kind, _, outcome = name.partition(" ")
    return kind, outcome
