"""The next attempt finds what the last one left in /outputs: on the same node, on another, after kill -9 at any moment."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.worker.conftest import Maker
from integration.worker.node import GID, UID, AgentNode
from integration.worker.test_remote import Server
from support.redis import RedisServer
from support.waiting import wait_for

from labq import moves
from labq.clock import now
from labq.ending import EndReason, StopRequest
from labq.job import Job
from labq.states import JobState
from labq.store import Person, Store

#: Its first run works until it is stopped, and saves; the next ones say what they found.
SAVES = """
if [ "$LABQ_ATTEMPT" = 1 ]; then
  trap 'echo 41 > /outputs/step; %s; exit 143' TERM
  echo ready; while :; do sleep 0.05; done
fi
cat /outputs/step; ls -ln /outputs/step | awk '{print $3, $4}'; echo 42 >> /outputs/step
"""
RETRY = "echo run >> /outputs/runs; wc -l < /outputs/runs; exit 3"


def saves(more: str = ":") -> str:
    return SAVES % more


def preempt(node: AgentNode, job_id: str) -> Job:
    """Stop the job for another, as the loop does, and return it when it waits again."""
    wait_for(lambda: b"ready" in _own_log(node, job_id), 20, "it to work", hint=node.said)
    job = node.store.jobs.get(job_id)
    stop = StopRequest(EndReason.PREEMPTED, "labq", now(), for_job="99")
    node.store.jobs.move(job, moves.stopping(job, stop), now=now(), by="scheduler")
    node.send("labq_worker.tasks.stop_attempt", job)
    return node.state(job_id, JobState.QUEUED)


def sent(node: AgentNode) -> str:
    """Preempt a job that saves, and return its id when the server has its outputs."""
    job_id = node.begin(saves())
    preempt(node, job_id)
    wait_for(lambda: node.store.jobs.get(job_id).outputs_due is None, 20, "its outputs", hint=node.said)
    return job_id


def _own_log(node: AgentNode, job_id: str) -> bytes:
    (container,) = node.containers(job=job_id)
    return bytes(container.logs())


@pytest.fixture(scope="module")
def server(redis_session: RedisServer, make_node: Maker) -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="labq-server-"))
    found = Server(redis_session.url, directory)
    found.start()
    yield found
    found.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def two(server: Server, make_node: Maker) -> tuple[AgentNode, AgentNode]:
    """Two nodes that share no files with the server."""
    people = Store(server.redis_url).people
    made = []
    for name in ("far1", "far2"):
        people.put(Person(f"node-{name}", agent=True))
        settings = {
            "LABQ_SHARED_FILES": "0",
            "LABQ_SERVER": f"http://127.0.0.1:{server.port}",
            "LABQ_NODE_TOKEN": people.new_token(f"node-{name}"),
        }
        made.append(make_node(name, settings))
        made[-1].start()
    return made[0], made[1]


def test_a_retry_goes_on_where_the_failure_left_off(node: AgentNode) -> None:
    job_id = node.submit(RETRY, retries=2)
    for number in (1, 2, 3):
        node.claim(job_id)
        node.state(job_id, JobState.QUEUED, JobState.FAILED)
        assert node.log(job_id, number) == b"%d\n" % number
    assert (node.outputs(job_id, 1) / "runs").read_text() == "run\n", "each attempt keeps its own"
    assert (node.outputs(job_id, 3) / "runs").read_text() == "run\n" * 3


def test_a_preempted_job_resumes_on_another_node(two: tuple[AgentNode, AgentNode], server: Server) -> None:
    first, second = two
    job_id = first.begin(saves("head -c 3000000 /dev/urandom > /outputs/model"))
    waits = preempt(first, job_id)
    assert waits.outputs_due in {1, None}
    wait_for(lambda: first.store.jobs.get(job_id).outputs_due is None, 20, "its outputs", hint=first.said)
    assert (server.data / "outputs" / job_id / "1.tar").is_file()
    second.claim(job_id)
    assert second.final(job_id).state is JobState.SUCCEEDED
    assert server_log(server, job_id, 2) == b"41\n%d %d\n" % (UID, GID)
    tar = server.data / "outputs" / job_id / "2.tar"
    wait_for(tar.is_file, 20, "the outputs of the second attempt", hint=second.said)
    assert tar.stat().st_size > 3_000_000
    assert not first.outputs(job_id).exists()


def test_it_waits_for_the_server_and_is_not_to_start_before(
    two: tuple[AgentNode, AgentNode], server: Server
) -> None:
    first, second = two
    job_id = first.begin(saves())
    wait_for(lambda: b"ready" in _own_log(first, job_id), 20, "it to work", hint=first.said)
    server.stop()
    assert preempt(first, job_id).outputs_due == 1
    first.kill()  # what it has not sent the next agent sends
    assert first.store.jobs.get(job_id).outputs_due == 1
    server.start()
    first.start()
    wait_for(lambda: first.store.jobs.get(job_id).outputs_due is None, 40, "its outputs", hint=first.said)
    second.claim(job_id)
    assert second.final(job_id).state is JobState.SUCCEEDED
    assert server_log(server, job_id, 2).startswith(b"41\n")


def test_kill_nine_while_outputs_are_brought_leaves_nothing_torn(
    two: tuple[AgentNode, AgentNode], server: Server
) -> None:
    first, second = two
    job_id = first.begin(saves("for i in $(seq 400); do head -c 500000 /dev/zero > /outputs/part.$i; done"))
    preempt(first, job_id)
    wait_for(lambda: first.store.jobs.get(job_id).outputs_due is None, 40, "its outputs", hint=first.said)
    second.claim(job_id)
    filling = second.outputs(job_id, 2).with_name("2.filling")
    wait_for(
        lambda: len(list(filling.iterdir())) > 10, 30, "it to be filled", interval=0.001, hint=second.said
    )
    second.kill()
    assert not second.outputs(job_id, 2).exists()
    second.start()
    assert second.final(job_id).state is JobState.SUCCEEDED
    assert server_log(server, job_id, 2).startswith(b"41\n")
    assert not filling.exists()


def test_a_cancel_while_outputs_are_brought_ends_it_at_once(
    two: tuple[AgentNode, AgentNode], server: Server
) -> None:
    first, second = two
    job_id = sent(first)
    server.stop()
    try:
        second.claim(job_id)
        wait_for(
            lambda: f"job {job_id}: its earlier outputs: " in second.said(), 20, "it to ask", hint=second.said
        )
        second.cancel(job_id)
        assert second.final(job_id).state is JobState.CANCELLED
        assert second.store.jobs.leases("far2") == {}
        assert not second.outputs(job_id, 2).exists()
    finally:
        server.start()


def test_outputs_that_no_disk_holds_give_the_job_back(
    two: tuple[AgentNode, AgentNode], server: Server
) -> None:
    first, second = two
    job_id = sent(first)
    blocked = second.data / "outputs" / job_id
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("in the way")  # as bad as a disk that is full: nothing can be made there
    second.claim(job_id)
    back = second.state(job_id, JobState.QUEUED)
    assert back.attempts[-1].reason is EndReason.START_REJECTED
    assert "what it had left in /outputs cannot be brought there" in back.attempts[-1].verdict
    blocked.unlink()
    second.claim(job_id)
    assert second.final(job_id).state is JobState.SUCCEEDED
    assert server_log(server, job_id, 3).startswith(b"41\n")


def server_log(server: Server, job_id: str, attempt: int) -> bytes:
    from labq.logfile import read_frames

    path = server.data / "logs" / job_id / f"{attempt}.labqlog"
    return b"".join(frame.payload for frame in read_frames(path))
