"""How a job ended: the reason decides the final state, the retry and the sentence.

Lives here: ``EndReason`` with its table, ``judge`` (what the engine saw -> reason and verdict) and
``after_end`` (reason + attempts -> queued again, or final). Pure.
Must not live here: who asks the engine, who writes the state.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from enum import StrEnum

from labq.states import JobState
from labq.units import about_bytes, about_duration


class EndReason(StrEnum):
    """Why an attempt, and in the end a job, is over."""

    COMPLETED = "completed"
    EXIT_CODE = "exit_code"
    OUT_OF_MEMORY = "out_of_memory"
    GPU_OUT_OF_MEMORY = "gpu_out_of_memory"
    TIME_LIMIT = "time_limit"
    DISK_LIMIT = "disk_limit"
    CANCELLED_BY_USER = "cancelled_by_user"
    CANCELLED_BY_ADMIN = "cancelled_by_admin"
    PREEMPTED = "preempted"
    NODE_LOST = "node_lost"
    GPU_LOST = "gpu_lost"
    CONTAINER_LOST = "container_lost"
    COMMAND_NOT_FOUND = "command_not_found"
    START_FAILED = "start_failed"
    START_REJECTED = "start_rejected"
    IMAGE_BUILD_FAILED = "image_build_failed"
    IMAGE_NOT_FOUND = "image_not_found"
    DEPENDENCY_FAILED = "dependency_failed"
    IDLE_RECLAIMED = "idle_reclaimed"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a reason means for its job."""

    state: JobState
    #: "never": final at once; "retries": uses one of the job's retries; "free": goes back to the
    #: queue without using one, up to FREE_REQUEUES times
    requeue: str
    text: str


_F, _C = JobState.FAILED, JobState.CANCELLED

RULES: dict[EndReason, Rule] = {
    EndReason.COMPLETED: Rule(JobState.SUCCEEDED, "never", "completed"),
    EndReason.EXIT_CODE: Rule(_F, "retries", "its command failed"),
    EndReason.OUT_OF_MEMORY: Rule(_F, "retries", "the kernel killed it: out of memory"),
    EndReason.GPU_OUT_OF_MEMORY: Rule(_F, "retries", "its GPU ran out of memory"),
    EndReason.TIME_LIMIT: Rule(_F, "never", "its time limit passed"),
    EndReason.DISK_LIMIT: Rule(_F, "never", "it wrote more than its --disk"),
    EndReason.CANCELLED_BY_USER: Rule(_C, "never", "cancelled by its owner"),
    EndReason.CANCELLED_BY_ADMIN: Rule(_C, "never", "cancelled by an admin"),
    EndReason.PREEMPTED: Rule(_F, "free", "preempted"),
    EndReason.NODE_LOST: Rule(_F, "retries", "its node was lost"),
    EndReason.GPU_LOST: Rule(_F, "free", "its GPU was lost"),
    EndReason.CONTAINER_LOST: Rule(_F, "retries", "its container was removed by someone else"),
    EndReason.COMMAND_NOT_FOUND: Rule(_F, "never", "its command is not in the image"),
    EndReason.START_FAILED: Rule(_F, "never", "its container could not be started"),
    EndReason.START_REJECTED: Rule(_F, "free", "the node rejected the start"),
    EndReason.IMAGE_BUILD_FAILED: Rule(_F, "never", "its image could not be built"),
    EndReason.IMAGE_NOT_FOUND: Rule(_F, "never", "its image was not found"),
    EndReason.DEPENDENCY_FAILED: Rule(_F, "never", "a job that it waits for did not succeed"),
    EndReason.IDLE_RECLAIMED: Rule(_F, "never", "it held GPUs without using them"),
    EndReason.IMPOSSIBLE: Rule(_F, "never", "no node can ever run it"),
}

#: A start rejected or a GPU lost this often in a row is no accident any more.
FREE_REQUEUES = 5
#: Seconds before the next start after each of these: 1, 5, 25, 125, 600. An image that went away is there again at once; a
#: disk that is full takes a quarter of an hour to be seen to, or the job to find another node.
FREE_BACKOFF = 5.0
#: Seconds before the first retry; doubles with each, at most MAX_BACKOFF.
BACKOFF, MAX_BACKOFF = 5.0, 600.0

#: What CUDA, PyTorch, TensorFlow and JAX print when a GPU is full.
_GPU_OOM = re.compile(
    r"CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED"
    r"|torch\.(cuda\.)?OutOfMemoryError|RESOURCE_EXHAUSTED: Out of memory|failed to allocate memory on the GPU",
    re.IGNORECASE,
)
#: What Python, shells and the C library say of a place where the job's user may not write.
_NOT_WRITABLE = re.compile(r"PermissionError: \[Errno 13\]|Read-only file system|Permission denied")
_GPU_LOST = re.compile(r"GPU is lost|fallen off the bus|Failed to initialize NVML: Unknown Error")


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Why a container is being stopped."""

    reason: EndReason
    #: user name, or "labq"
    by: str
    at: float
    #: seconds between SIGTERM and SIGKILL when they differ from the spec's; the spec stays as it was asked for
    grace: float | None = None
    #: id of the job that it is stopped for, when it is preempted
    for_job: str | None = None


@dataclass(frozen=True, slots=True)
class EndFacts:
    """What the engine and the agent saw of a container that has ended."""

    #: None when the container is gone
    exit_code: int | None
    oom_killed: bool = False
    #: the engine's own words when the container could not be started
    error: str = ""
    started: bool = True
    #: the node cannot give it what it needs just now; another, or a later start, may
    rejected: bool = False
    #: seconds from start to end
    duration: float = 0.0
    #: last lines of the log
    tail: tuple[str, ...] = ()
    #: bytes; 0 = not known
    peak_memory: int = 0
    memory_limit: int = 0
    time_limit: float | None = None
    #: bytes; 0 = the job did not say
    disk_limit: int = 0
    #: the agent had to send SIGKILL after the grace
    killed_after_grace: bool = False
    sent_sigterm: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The reason and the sentence with its evidence."""

    reason: EndReason
    verdict: str


def judge(facts: EndFacts, stop: StopRequest | None) -> Judgement:
    """Return why the attempt ended, and the one sentence that its owner reads.

    The order of evidence:
        1. exit code 0 before any signal was sent: it completed, whatever was asked meanwhile.
        2. somebody or something asked it to stop: that is the reason.
        3. the container never started.
        4. the container is gone.
        5. exit code 0.
        6. the kernel killed it for memory.
        7. the log says that a GPU was lost, or ran out of memory.
        8. the exit code.
    """
    code = facts.exit_code
    if code == 0 and facts.started and not facts.sent_sigterm:
        return Judgement(EndReason.COMPLETED, _completed(facts))
    if stop is not None:
        return Judgement(stop.reason, _stopped(facts, stop))
    if not facts.started:
        return _not_started(facts)
    if code is None:
        text = "its container was removed by someone other than labq; see `docker events` on the node"
        return Judgement(EndReason.CONTAINER_LOST, f"Failed: {text}.")
    if code == 0:
        return Judgement(EndReason.COMPLETED, _completed(facts))
    after = f"after {about_duration(facts.duration)}"
    if facts.oom_killed:
        used = f" (peak {about_bytes(facts.peak_memory)})" if facts.peak_memory else ""
        limit = f"its limit of {about_bytes(facts.memory_limit)}" if facts.memory_limit else "the node's"
        text = f"Failed: out of memory {after}: it reached {limit}{used}; ask for more with --memory."
        return Judgement(EndReason.OUT_OF_MEMORY, text)
    tail = "\n".join(facts.tail)
    if _GPU_LOST.search(tail):
        return Judgement(EndReason.GPU_LOST, f"Failed: its GPU was lost {after}{_last_line(facts)}.")
    if _GPU_OOM.search(tail):
        text = f"Failed: its GPU ran out of memory {after}{_last_line(facts)}; use a smaller batch or ask for a larger card (--gpus 24GB+)."
        return Judgement(EndReason.GPU_OUT_OF_MEMORY, text)
    # 126: the command itself may not be run; that is no matter of where it writes.
    hint = "; /outputs is where a job may write" if code != 126 and _NOT_WRITABLE.search(tail) else ""
    return Judgement(EndReason.EXIT_CODE, f"Failed: {_code_text(code)} {after}{_last_line(facts)}{hint}.")


@dataclass(frozen=True, slots=True)
class AfterEnd:
    """Where the job goes when an attempt is over."""

    state: JobState
    #: seconds since the epoch before which a requeued job does not start again; 0 = at once
    not_before: float
    #: the new number of used retries
    retries_used: int
    #: the new number of requeues that used no retry
    free_requeues: int


def after_end(
    reason: EndReason, *, retries: int, retries_used: int, free_requeues: int, now: float
) -> AfterEnd:
    """Return whether the job is queued again (and from when), or final."""
    rule = RULES[reason]
    if rule.requeue == "retries" and retries_used < retries:
        wait = min(MAX_BACKOFF, BACKOFF * 2**retries_used)
        return AfterEnd(JobState.QUEUED, now + wait, retries_used + 1, free_requeues)
    if reason is EndReason.PREEMPTED:
        return AfterEnd(JobState.QUEUED, 0.0, retries_used, free_requeues)
    if rule.requeue == "free" and free_requeues < FREE_REQUEUES:
        wait = min(MAX_BACKOFF, FREE_BACKOFF**free_requeues)
        return AfterEnd(JobState.QUEUED, now + wait, retries_used, free_requeues + 1)
    return AfterEnd(rule.state, 0.0, retries_used, free_requeues)


def _completed(facts: EndFacts) -> str:
    peak = f", peak memory {about_bytes(facts.peak_memory)}" if facts.peak_memory else ""
    return f"Succeeded after {about_duration(facts.duration)}{peak}."


def _stopped(facts: EndFacts, stop: StopRequest) -> str:
    how = "before it started"
    if facts.started and facts.exit_code is not None:
        how = f"after {about_duration(facts.duration)}"
        if facts.killed_after_grace:
            how += "; it ignored SIGTERM for the whole grace and was killed"
        else:
            how += f"; it ended by itself on SIGTERM ({_code_text(facts.exit_code)})"
    match stop.reason:
        case EndReason.TIME_LIMIT:
            limit = about_duration(facts.time_limit) if facts.time_limit else "?"
            return f"Failed: its time limit of {limit} passed {how}; ask for more with --time."
        case EndReason.DISK_LIMIT:
            return f"Failed: it wrote more than its --disk {about_bytes(facts.disk_limit)} and was stopped {how}; ask for more with --disk."
        case EndReason.CANCELLED_BY_USER | EndReason.CANCELLED_BY_ADMIN:
            return f"Cancelled by {stop.by} {how}."
        case EndReason.IDLE_RECLAIMED:
            return f"Ended by the lab's rule on idle GPUs {how}: its GPUs had done nothing for too long; `labq keep` spares a job for a while."
        case EndReason.PREEMPTED:
            whom = f" for job {stop.for_job}" if stop.for_job else ""
            return f"Preempted by {stop.by}{whom} {how}; it goes back to the queue and keeps its place."
        case _:
            return f"Stopped by {stop.by} ({RULES[stop.reason].text}) {how}."


def _not_started(facts: EndFacts) -> Judgement:
    lower = facts.error.lower()
    if facts.rejected:
        return Judgement(EndReason.START_REJECTED, f"It could not start there: {facts.error}")
    if "no such image" in lower or "image not found" in lower:
        return Judgement(EndReason.START_REJECTED, f"The image went away before the start: {facts.error}")
    missing = ("executable file not found", "no such file or directory", "permission denied")
    if facts.exit_code in {126, 127} or any(text in lower for text in missing):
        text = f"Failed: its command cannot be run in this image: {facts.error}"
        return Judgement(EndReason.COMMAND_NOT_FOUND, text)
    return Judgement(EndReason.START_FAILED, f"Failed: the engine could not start it: {facts.error}")


def _code_text(code: int) -> str:
    if code > 128:
        try:
            return f"exit code {code} ({signal.Signals(code - 128).name})"
        except ValueError:
            pass
    hints = {126: "command not executable", 127: "command not found", 139: "segmentation fault"}
    return f"exit code {code}" + (f" ({hints[code]})" if code in hints else "")


def _last_line(facts: EndFacts) -> str:
    lines = [line.strip() for line in facts.tail if line.strip()]
    return f", last line: {lines[-1][-200:]}" if lines else ""
