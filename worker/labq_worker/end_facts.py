"""What was seen of an attempt -> what ``labq.ending.judge`` judges. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labq.ending import EndFacts, StopRequest
from labq.job import Job

#: docker-init's own complaint: the image has no such program. The container has started and is gone at once.
_INIT_FAILED = "[FATAL tini"


@dataclass(frozen=True, slots=True)
class SeenEnd:
    """How the engine says that a container ended."""

    #: None when the container is gone
    exit_code: int | None
    oom_killed: bool = False
    started_at: float | None = None
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class Signals:
    """What this agent has sent to the container."""

    sigterm: bool = False
    sigkill: bool = False
    #: another agent process followed the container before: what that one sent is not known
    unknown: bool = False


def not_started(job: Job, words: str, *, rejected: bool = False) -> EndFacts:
    """Return the facts of an attempt whose container never ran; rejected = it may well start elsewhere or later."""
    return EndFacts(exit_code=None, error=words, started=False, rejected=rejected, time_limit=job.spec.time)


def ended(job: Job, seen: SeenEnd, signals: Signals, tail: Sequence[str], peak_memory: int) -> EndFacts:
    """Return the facts of an attempt whose container ran.

    What an agent sent before it died is not known to the next one: for that one, a container that ended after the
    request to stop counts as having had SIGTERM, and as killed when it ended with 137 after its grace.
    """
    words = _cannot_run(seen, tail)
    if words:
        return EndFacts(
            exit_code=seen.exit_code, error=words, started=False, tail=tuple(tail), time_limit=job.spec.time
        )
    stop = job.stop
    duration = 0.0
    if seen.started_at is not None and seen.finished_at is not None:
        duration = max(0.0, seen.finished_at - seen.started_at)
    after_stop = stop is not None and seen.finished_at is not None and seen.finished_at >= stop.at
    inferred_kill = signals.unknown and _was_killed(seen, stop, job.grace)
    return EndFacts(
        exit_code=seen.exit_code,
        oom_killed=seen.oom_killed,
        started=True,
        duration=duration,
        tail=tuple(tail),
        peak_memory=peak_memory,
        memory_limit=job.memory or 0,
        time_limit=job.spec.time,
        disk_limit=job.disk or 0,
        sent_sigterm=signals.sigterm or (signals.unknown and after_stop),
        killed_after_grace=signals.sigkill or inferred_kill,
    )


def _was_killed(seen: SeenEnd, stop: StopRequest | None, grace: float) -> bool:
    if stop is None or seen.finished_at is None or seen.exit_code != 137:
        return False
    return seen.finished_at >= stop.at + grace


def _cannot_run(seen: SeenEnd, tail: Sequence[str]) -> str:
    if seen.exit_code not in {126, 127}:
        return ""
    line = next((line for line in reversed(tail) if line.startswith(_INIT_FAILED)), "")
    return line.partition("] ")[2]
