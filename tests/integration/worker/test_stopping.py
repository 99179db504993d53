"""Time limits and cancels: SIGTERM, the grace, SIGKILL; also while the container is being made."""

import threading

from integration.worker.node import AgentNode
from support.waiting import wait_for

from labq import wire
from labq.clock import now
from labq.ending import EndReason
from labq.errors import ConflictError
from labq.states import JobState

#: Saves on SIGTERM; sleep in the background, since a shell waits for a foreground child before its trap.
OBEDIENT = "trap 'echo saved > /outputs/checkpoint; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def ready(node: AgentNode, job_id: str) -> None:
    """Wait until the script has set its trap."""
    wait_for(lambda: b"ready" in node.log(job_id), 10, "the script to be ready", hint=node.said)


def test_the_time_limit_of_a_job_that_saves_on_sigterm(node: AgentNode) -> None:
    job = node.run(OBEDIENT, time="1s", grace="10s")
    assert (job.state, job.end_reason) == (JobState.FAILED, EndReason.TIME_LIMIT)
    assert "its time limit of 1s passed" in (job.verdict or "")
    assert "SIGTERM" in (job.verdict or "")
    assert (node.outputs(job.id) / "checkpoint").read_text() == "saved\n"


def test_the_time_limit_of_a_job_that_ignores_sigterm(node: AgentNode) -> None:
    job = node.run(DEAF, time="0.5s", grace="1s")
    assert (job.state, job.end_reason, job.exit_code) == (JobState.FAILED, EndReason.TIME_LIMIT, 137)
    assert "ignored SIGTERM" in (job.verdict or "")


def test_cancel(node: AgentNode) -> None:
    job_id = node.begin(OBEDIENT, grace="10s")
    ready(node, job_id)
    node.cancel(job_id)
    job = node.final(job_id)
    assert (job.state, job.end_reason) == (JobState.CANCELLED, EndReason.CANCELLED_BY_USER)
    assert (job.verdict or "").startswith("Cancelled by alice after")
    assert (node.outputs(job_id) / "checkpoint").exists()
    node.gone(job_id)


def test_a_cancel_whose_message_is_lost(node: AgentNode) -> None:
    job_id = node.begin(OBEDIENT, grace="10s")
    ready(node, job_id)
    node.cancel(job_id, message=False)
    assert node.final(job_id).state is JobState.CANCELLED


def test_cancel_of_a_job_that_ignores_sigterm(node: AgentNode) -> None:
    job_id = node.begin(DEAF, grace="0.5s")
    ready(node, job_id)
    node.cancel(job_id)
    job = node.final(job_id)
    assert (job.state, job.exit_code) == (JobState.CANCELLED, 137)


def test_cancelled_before_the_agent_looked(node: AgentNode) -> None:
    job_id = node.submit("sleep 60")
    starting = node.claim(job_id, message=False)
    node.cancel(job_id, message=False)
    node.send(wire.START, starting)
    node.send(wire.STOP, starting)
    job = node.final(job_id)
    assert (job.state, job.verdict) == (JobState.CANCELLED, "Cancelled by alice before it started.")
    assert not node.containers(job=job_id)


def test_cancelled_while_the_container_is_being_made(node: AgentNode) -> None:
    job_id = node.submit("sleep 60")
    node.claim(job_id)
    wait_for(lambda: node.containers(job=job_id), 10, "the container to be created", interval=0.001)
    node.cancel(job_id)
    at = now()
    job = node.final(job_id)
    assert job.state is JobState.CANCELLED
    assert now() - at < 5
    node.gone(job_id)


def test_many_cancels_at_once_end_each_job_once(node: AgentNode) -> None:
    ids = [node.submit("sleep 60") for _ in range(4)]
    for job_id in ids:
        node.claim(job_id)
    for job_id in ids:
        node.state(job_id, JobState.STARTING, JobState.RUNNING)

    def cancel(job_id: str) -> None:
        for _ in range(3):
            try:
                node.cancel(job_id)
            except ConflictError:
                continue  # it moved between our read and our write

    threads = [threading.Thread(target=cancel, args=(job_id,)) for job_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {node.final(job_id).state for job_id in ids} == {JobState.CANCELLED}
    for job_id in ids:
        assert len(node.store.jobs.get(job_id).attempts) == 1
        node.gone(job_id)
