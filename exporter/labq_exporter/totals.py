"""The counters, and how they live on when this program is restarted. Pure.

They are written down *before* they are shown: whatever Prometheus saw is in the file, so that no counter ever goes
back (it would take that for a reset and count everything again).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labq.holding.reading import GpuReading
from labq.holding.samples import XidCount
from labq.holding.seconds import Moment, Share, Steps

VERSION = 1
#: Seconds after which somebody who no longer holds a GPU loses the series of it, at a restart.
FORGET = 86400.0
QUEUE, OUTSIDE = "queue", "outside"
#: People with series of their own on one node; the time of more is one person's, who is called so.
MAX_USERS, OTHER = 250, "other"

#: (GPU uuid, user, scope)
Key = tuple[str, str, str]


@dataclass(slots=True)
class Totals:
    """Seconds since this node booted, as far as this program ran."""

    held: dict[Key, float] = field(default_factory=dict)
    busy: dict[Key, float] = field(default_factory=dict)
    #: seconds since the epoch at which a key last grew
    touched: dict[Key, float] = field(default_factory=dict)
    #: (GPU uuid, state) -> seconds
    states: dict[tuple[str, str], float] = field(default_factory=dict)
    #: GPU uuid -> seconds of full use
    used: dict[str, float] = field(default_factory=dict)
    #: GPU uuid -> its index; kept, since a counter whose labels change would be counted again
    slots: dict[str, str] = field(default_factory=dict)
    user_cpu: dict[str, float] = field(default_factory=dict)
    #: path of a cgroup -> its processor seconds when last seen
    cgroup_cpu: dict[str, float] = field(default_factory=dict)
    #: (GPU uuid, code) -> count, seconds since the epoch of the last, of earlier lives of this program
    xids_before: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    #: where each GPU is; restarts of this program share the monotonic clock
    steps: Steps = field(default_factory=Steps)
    #: everybody who has a series of their own
    users: set[str] = field(default_factory=set)

    def add(self, readings: Sequence[GpuReading], at: float, now: float) -> None:
        """Count the time since the last readings.

        Args:
            readings: of all GPUs now.
            at: monotonic seconds.
            now: seconds since the epoch.
        """
        self.slots |= {reading.gpu.uuid: reading.gpu.slot for reading in readings}
        for step in self.steps.to(readings, at):
            uuid, gone = step.gpu.uuid, step.spent
            # Whoever is there now is shown from the first sight on, so that Prometheus sees it grow.
            for who in {**step.moment.shares, **gone.held}:
                key = self._key(uuid, who)
                self.held[key] = self.held.get(key, 0.0) + gone.held.get(who, 0.0)
                self.busy[key] = self.busy.get(key, 0.0) + gone.busy.get(who, 0.0)
                self.touched[key] = now
            for state, part in gone.states.items():
                self.states[uuid, state] = self.states.get((uuid, state), 0.0) + part
            self.used[uuid] = self.used.get(uuid, 0.0) + gone.used

    def _key(self, uuid: str, who: tuple[str, bool]) -> Key:
        user, outside = who
        return uuid, self._bounded(user), OUTSIDE if outside else QUEUE

    def _bounded(self, user: str) -> str:
        """Return the user, or ``OTHER`` for one too many: an owner label is free text, and each name is a series."""
        if user not in self.users:
            if len(self.users) >= MAX_USERS:
                return OTHER
            self.users.add(user)
        return user

    def add_cpu(self, seen: Mapping[str, tuple[str, float]], *, first: bool) -> None:
        """Count processor time.

        Args:
            seen: path of a cgroup -> (user, its processor seconds).
            first: True at the first look after boot: what was used before is not ours to count.
        """
        for path, (name, seconds) in seen.items():
            user = self._bounded(name)
            before = self.cgroup_cpu.get(path, seconds if first else 0.0)
            # A path that is used again by a new cgroup begins at nothing.
            self.user_cpu[user] = self.user_cpu.get(user, 0.0) + (
                seconds - before if seconds >= before else seconds
            )
        self.cgroup_cpu = {path: seconds for path, (_, seconds) in seen.items()}

    def xids(self, now_counted: Iterable[XidCount]) -> dict[tuple[str, int], tuple[int, float]]:
        """Return counts and times of Xid events, those of earlier lives included."""
        out = dict(self.xids_before)
        for xid in now_counted:
            count, last = out.get((xid.uuid, xid.code), (0, 0.0))
            out[xid.uuid, xid.code] = (count + xid.count, max(last, xid.last))
        return out

    def to_json(self, now_counted: Iterable[XidCount], boot: str) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "v": VERSION,
            "boot": boot,
            "users": [[*key, self.held[key], self.busy[key], self.touched[key]] for key in self.held],
            "states": [[*key, seconds] for key, seconds in self.states.items()],
            "used": self.used,
            "slots": self.slots,
            "user_cpu": self.user_cpu,
            "cgroup_cpu": self.cgroup_cpu,
            "xids": [[*key, *value] for key, value in self.xids(now_counted).items()],
            "moments": [
                [uuid, at, each.state, each.utilization]
                + [[user, outside, share.held, share.busy] for (user, outside), share in each.shares.items()]
                for uuid, (each, at) in self.steps.latest.items()
            ],
        }


def from_json(body: Mapping[str, Any], boot: str, now: float) -> Totals:
    """Return the totals that were written; fresh ones when they are of another boot or form.

    Raises:
        KeyError, TypeError, ValueError: it was not written by this program.
    """
    if body["v"] != VERSION or body["boot"] != boot:
        return Totals()
    out = Totals()
    for uuid, user, scope, held, busy, touched in body["users"]:
        if now - touched < FORGET:
            key = (uuid, user, scope)
            out.held[key], out.busy[key], out.touched[key] = float(held), float(busy), float(touched)
    out.states = {(uuid, state): float(seconds) for uuid, state, seconds in body["states"]}
    out.used = {uuid: float(seconds) for uuid, seconds in body["used"].items()}
    out.slots = {str(uuid): str(slot) for uuid, slot in body["slots"].items()}
    out.user_cpu = {user: float(seconds) for user, seconds in body["user_cpu"].items()}
    out.cgroup_cpu = {path: float(seconds) for path, seconds in body["cgroup_cpu"].items()}
    out.xids_before = {
        (uuid, int(code)): (int(count), float(last)) for uuid, code, count, last in body["xids"]
    }
    out.users = {user for _, user, _ in out.held} | set(out.user_cpu)
    for uuid, at, state, utilization, *shares in body["moments"]:
        parts = {(user, bool(outside)): Share(held, busy) for user, outside, held, busy in shares}
        out.steps.latest[uuid] = (Moment(state, parts, utilization), float(at))
    return out
