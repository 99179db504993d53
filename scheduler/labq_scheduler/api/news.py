"""The states of one job as they change: each once, in order, none invented.

Every legal chain of moves is continuous: an event whose ``from`` is not the last state that was told is old
news (it was in the record already), or others before it were missed; then the record itself is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from labq.clock import rfc3339
from labq.job import Job
from labq.states import FINAL, JobState
from labq.store import Event
from labq_scheduler.verbs.lab import Lab
from labq_scheduler.verbs.show import sentence


class StateNews:
    """What was told of one job."""

    def __init__(self, lab: Lab, job: Job) -> None:
        """Begin with ``job``, which nobody was told of yet."""
        self._lab = lab
        self.job = job
        self._told: JobState | None = None
        self._why: str | None = None

    @property
    def told_final(self) -> bool:
        """Return whether the end was told."""
        return self._told in FINAL

    def refresh(self) -> None:
        """Look at the board for what the job is now."""
        self.job = self._lab.board.get(self.job.id) or self.job

    def from_record(self, at: float) -> dict[str, Any] | None:
        """Return what the record says when it was not told yet, a new reason for waiting included."""
        job = self.job
        why = sentence(self._lab, job)
        if self._told is job.state and (job.state is not JobState.QUEUED or why == self._why):
            return None
        self._told, self._why = job.state, why
        return {
            "id": job.id,
            "state": str(job.state),
            "at": rfc3339(_changed_at(job) or at),
            "why": why,
            "attempt": job.attempt,
            "node": job.node,
            "end_reason": job.end_reason and str(job.end_reason),
            "exit_code": job.exit_code,
            "verdict": job.verdict,
        }

    def from_events(self, events: Iterable[Event]) -> Iterator[dict[str, Any]]:
        """Yield what the events say, leaving out old news."""
        for event in events:
            fields = event.fields
            if fields["from"] != self._told:
                continue
            self._told = JobState(fields["to"])
            body = _body(fields, self._told)
            body["why"] = body["why"] or sentence(self._lab, self.job)
            self._why = body["why"]
            yield body


def _body(fields: Any, state: JobState) -> dict[str, Any]:
    new = json.loads(fields["set"])
    attempts = json.loads(new.get("attempts", "[]"))
    why = new.get("verdict")
    if state is JobState.QUEUED and attempts:
        why = attempts[-1]["verdict"]
    elif state is JobState.STARTING:
        why = f"its container is being made on {fields['node']}"
    elif state is JobState.RUNNING:
        why = f"it runs on {fields['node']}"
    return {
        "id": fields["id"],
        "state": str(state),
        "at": rfc3339(float(fields["at"])),
        "why": why,
        "attempt": int(new["attempt"]) if "attempt" in new else None,
        "node": fields["node"] or None,
        "end_reason": new.get("end_reason"),
        "exit_code": int(new["exit_code"]) if "exit_code" in new else None,
        "verdict": new.get("verdict"),
    }


def _changed_at(job: Job) -> float | None:
    if job.state in FINAL:
        return job.ended_at
    if job.state is JobState.RUNNING:
        return job.started_at
    if job.state is JobState.STOPPING and job.stop is not None:
        return job.stop.at
    if job.state is JobState.QUEUED:
        return job.attempts[-1].ended_at if job.attempts else job.submitted_at
    return None
