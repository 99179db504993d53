from __future__ import annotations

import pytest

from labq.ending import BACKOFF, FREE_REQUEUES, EndFacts, EndReason, StopRequest, after_end, judge
from labq.states import JobState

USER = StopRequest(EndReason.CANCELLED_BY_USER, "ann", 10.0)
LIMIT = StopRequest(EndReason.TIME_LIMIT, "labq", 10.0)


@pytest.mark.parametrize(
    ("facts", "stop", "reason", "says"),
    [
        (EndFacts(0, duration=65), None, EndReason.COMPLETED, "Succeeded after 1m05s"),
        (EndFacts(3, tail=("Traceback", "ValueError: x")), None, EndReason.EXIT_CODE, "exit code 3 after 0s, last line: ValueError: x"),
        (EndFacts(1, tail=("PermissionError: [Errno 13] Permission denied: 'out'",)), None, EndReason.EXIT_CODE, "'out'; /outputs is where a job may write."),
        (EndFacts(2, tail=("sh: can't create /model: Read-only file system", "")), None, EndReason.EXIT_CODE, "system; /outputs is where"),
        (EndFacts(126, tail=("sh: ./run: Permission denied",)), None, EndReason.EXIT_CODE, "last line: sh: ./run: Permission denied."),
        (EndFacts(137, oom_killed=True, memory_limit=2**30), None, EndReason.OUT_OF_MEMORY, "its limit of 1GB"),
        (EndFacts(137), None, EndReason.EXIT_CODE, "exit code 137 (SIGKILL)"),
        (EndFacts(139), None, EndReason.EXIT_CODE, "SIGSEGV"),
        (EndFacts(1, tail=("RuntimeError: CUDA out of memory. Tried",)), None, EndReason.GPU_OUT_OF_MEMORY, "larger card"),
        (EndFacts(1, tail=("Failed to initialize NVML: Unknown Error",)), None, EndReason.GPU_LOST, "GPU was lost"),
        (EndFacts(None), None, EndReason.CONTAINER_LOST, "removed by someone"),
        (EndFacts(143, sent_sigterm=True), USER, EndReason.CANCELLED_BY_USER, "Cancelled by ann after 0s; it ended by itself on SIGTERM"),
        (EndFacts(0, sent_sigterm=True), LIMIT, EndReason.TIME_LIMIT, "its time limit"),
        (EndFacts(0, sent_sigterm=False), USER, EndReason.COMPLETED, "Succeeded"),
        (EndFacts(137, sent_sigterm=True, killed_after_grace=True), USER, EndReason.CANCELLED_BY_USER, "ignored SIGTERM"),
        (EndFacts(None, started=False), USER, EndReason.CANCELLED_BY_USER, "Cancelled by ann before it started"),
        (EndFacts(None, started=False, error='exec: "nope": executable file not found in $PATH'), None, EndReason.COMMAND_NOT_FOUND, "nope"),
        (EndFacts(None, started=False, error="No such image: x"), None, EndReason.START_REJECTED, "image went away"),
        (EndFacts(None, started=False, error="could not select device driver"), None, EndReason.START_FAILED, "device driver"),
    ],
)  # fmt: skip
def test_the_reason_follows_from_the_evidence(
    facts: EndFacts, stop: StopRequest | None, reason: EndReason, says: str
) -> None:
    judgement = judge(facts, stop)
    assert judgement.reason is reason
    assert says in judgement.verdict


def test_a_failed_run_is_tried_again_while_retries_are_left_with_growing_waits() -> None:
    first = after_end(EndReason.EXIT_CODE, retries=2, retries_used=0, free_requeues=0, now=100.0)
    second = after_end(EndReason.EXIT_CODE, retries=2, retries_used=1, free_requeues=0, now=100.0)
    third = after_end(EndReason.EXIT_CODE, retries=2, retries_used=2, free_requeues=0, now=100.0)
    assert (first.state, first.not_before, first.retries_used) == (JobState.QUEUED, 100.0 + BACKOFF, 1)
    assert (second.state, second.not_before) == (JobState.QUEUED, 100.0 + 2 * BACKOFF)
    assert third.state is JobState.FAILED


def test_a_time_limit_and_a_cancel_are_never_retried() -> None:
    for reason, state in [
        (EndReason.TIME_LIMIT, JobState.FAILED),
        (EndReason.CANCELLED_BY_USER, JobState.CANCELLED),
    ]:
        assert after_end(reason, retries=9, retries_used=0, free_requeues=0, now=0.0).state is state


def test_a_rejected_start_is_free_but_not_for_ever() -> None:
    said = [
        after_end(EndReason.START_REJECTED, retries=0, retries_used=0, free_requeues=used, now=100.0)
        for used in range(FREE_REQUEUES + 1)
    ]
    assert [after.free_requeues for after in said[:-1]] == [1, 2, 3, 4, 5]
    assert [after.not_before - 100.0 for after in said[:-1]] == [1, 5, 25, 125, 600]
    assert said[-1].state is JobState.FAILED


def test_what_the_node_rejects_is_no_fault_of_the_job() -> None:
    said = judge(
        EndFacts(None, error="there is no room: no such file or directory", started=False, rejected=True),
        None,
    )
    assert said.reason is EndReason.START_REJECTED
    assert "It could not start there: there is no room" in said.verdict


def test_preemption_uses_no_retry_and_does_not_wait() -> None:
    after = after_end(EndReason.PREEMPTED, retries=0, retries_used=0, free_requeues=99, now=5.0)
    assert (after.state, after.not_before, after.retries_used) == (JobState.QUEUED, 0.0, 0)
