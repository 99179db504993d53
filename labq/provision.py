"""A run of the provisioner: what was asked for, its states and legal moves, and what came of it. Pure.

Lives here: ``RunState``, ``MOVES``, ``Run`` and ``RunEvent`` with their wire forms.
Must not live here: what may be asked for (``labq.provision_request``), how plays are run (``labq_scheduler.provision``), or any I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from labq.clock import rfc3339
from labq.errors import IllegalMoveError
from labq.provision_request import NewNode, Request


class RunState(StrEnum):
    """Where a run is."""

    #: written down; its driver checks it, or waits for hosts that another run holds
    QUEUED = "queued"
    #: ansible works on its hosts
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
_Q, _R = RunState.QUEUED, RunState.RUNNING
#: Every legal move with the sentence that says when it happens. All else is refused.
MOVES: dict[tuple[RunState, RunState], str] = {
    (_Q, _R): "it holds all its hosts, and its play begins",
    (_Q, RunState.FAILED): "it was refused before anything ran, or its driver died",
    (_Q, RunState.CANCELLED): "cancelled before anything ran",
    (_R, RunState.SUCCEEDED): "its play ended, and no host failed",
    (_R, RunState.FAILED): "a host failed or was not reached, or its driver died",
    (_R, RunState.CANCELLED): "cancelled: nothing more is begun on any host",
}


def check_move(old: RunState, new: RunState) -> None:
    """Do nothing when a run may move so.

    Raises:
        IllegalMoveError: it may not.
    """
    if (old, new) not in MOVES:
        raise IllegalMoveError(f"a run that is {old} cannot become {new}", "labq provision ls")


@dataclass(frozen=True, slots=True)
class HostStats:
    """What was done on one host: tasks by outcome, and the seconds that they took."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    #: 1 = ssh did not reach it
    unreachable: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, float]:
        """Return the wire form."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that failed on a host, and what to do."""

    host: str
    role: str
    task: str
    message: str
    next: str

    def to_json(self) -> dict[str, str]:
        """Return the wire form."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times are seconds since the epoch; None = not yet."""

    id: str
    request: Request
    #: who asked for it
    by: str
    created: float
    state: RunState = RunState.QUEUED
    started: float | None = None
    ended: float | None = None
    #: ids of the runs that hold its hosts
    waits_for: tuple[str, ...] = ()
    #: resolved from the playbook and the limit
    hosts: tuple[str, ...] = ()
    stats: Mapping[str, HostStats] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    #: in words: why it was refused, what may still be running, which ssh keys were new
    note: str = ""
    #: why it was refused before anything ran, and what is legal; ("", "") = it was not
    refused: tuple[str, str] = ("", "")

    def moved(self, state: RunState, **changes: Any) -> Run:
        """Return the run in another state.

        Raises:
            IllegalMoveError: it may not move so.
        """
        check_move(self.state, state)
        return replace(self, state=state, **changes)

    def to_json(self) -> dict[str, Any]:
        """Return what is kept in Redis; times as they are here."""
        return {
            "id": self.id, **self.request.to_json(), "by": self.by, "state": str(self.state),
            "created": self.created, "started": self.started, "ended": self.ended,
            "waits_for": list(self.waits_for), "hosts": list(self.hosts),
            "stats": {name: one.to_json() for name, one in self.stats.items()},
            "failures": [one.to_json() for one in self.failures], "note": self.note,
            "refused": None if self.refused == ("", "") else {"what": self.refused[0], "next": self.refused[1]},
        }  # fmt: skip

    def view(self) -> dict[str, Any]:
        """Return the run as the API shows it; times are RFC 3339 UTC."""
        body = self.to_json()
        times = {
            key: None if body[key] is None else rfc3339(body[key]) for key in ("created", "started", "ended")
        }
        return body | times

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> Run:
        """Return the run that ``to_json`` described; keys of a newer labq are ignored."""
        node = body.get("host")
        refused = body.get("refused") or {}
        request = Request(
            body["playbook"], body["limit"], tuple(body["tags"]), body["check"], body["diff"],
            None if node is None else NewNode(**{key: node[key] for key in NewNode.__slots__ if key in node}),
            body.get("dead", False),
        )  # fmt: skip
        return Run(
            id=body["id"], request=request, by=body["by"], created=body["created"], state=RunState(body["state"]),
            started=body["started"], ended=body["ended"], waits_for=tuple(body["waits_for"]),
            hosts=tuple(body["hosts"]),
            stats={name: HostStats(**one) for name, one in body["stats"].items()},
            failures=tuple(Failure(**one) for one in body["failures"]), note=body["note"],
            refused=(refused.get("what", ""), refused.get("next", "")),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One thing that happened in a run. Texts are bounded, and hold nothing of a task with ``no_log``.

    Attributes:
        at: seconds since the epoch.
        kind: "task" (a task begins on all its hosts), "host" (it ended on one), "requirement" (the same, of the
            preflight), "say" (a sentence for people, of the driver or of a play: what its tasks of debug say).
        outcome: of "host" and "requirement": ok, changed, failed, ignored, unreachable or skipped.
        seconds: that the task took on the host.
        message: of a failure; with ``--diff`` what changes; of "say" the sentence.
    """

    at: float
    kind: str
    host: str = ""
    role: str = ""
    task: str = ""
    outcome: str = ""
    seconds: float = 0.0
    message: str = ""

    def to_json(self, number: int) -> dict[str, Any]:
        """Return the wire form with the event's number, which counts up from 1."""
        return {"n": number, **{name: getattr(self, name) for name in self.__slots__}, "at": rfc3339(self.at)}
