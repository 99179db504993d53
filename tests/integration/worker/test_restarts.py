"""kill -9 of the agent while jobs run: the next one adopts them, and nothing is lost or doubled."""

import docker.errors
import pytest
from docker.models.containers import Container
from integration.worker.conftest import Maker
from integration.worker.node import AgentNode
from support.engine import Engine
from support.redis import RedisServer
from support.waiting import wait_for

from labq import moves, wire
from labq.clock import now
from labq.ending import EndReason, Judgement
from labq.states import JobState

COUNT = "i=0; while [ $i -lt %d ]; do i=$((i+1)); echo line $i; echo err $i >&2; sleep 0.01; done; "
#: Waits for the test, so that what is to be cut in the middle is.
GATE = "while [ ! -e /outputs/go ]; do sleep 0.02; done; "


def open_gate(node: AgentNode, *job_ids: str) -> None:
    """Let jobs go on."""
    for job_id in job_ids:
        (node.outputs(job_id) / "go").touch()


def numbered(word: str, last: int) -> bytes:
    """What the counting script writes."""
    return "".join(f"{word} {i}\n" for i in range(1, last + 1)).encode()


def test_kill_nine_while_jobs_run(make_node: Maker) -> None:
    node = make_node("restart")
    node.start()
    through = node.begin(
        COUNT % 100 + GATE + "echo through; head -c 40000 /dev/zero | tr '\\0' z; echo; exit 7"
    )
    meanwhile = node.begin(COUNT % 20 + GATE + "echo over; echo result > /outputs/result; exit 0")
    stopped = node.begin("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    ended_before = node.submit("echo quick")
    wait_for(lambda: b"line 10\n" in node.log(through), 10, "output")
    wait_for(lambda: b"ready" in node.log(stopped), 10, "output")
    node.kill()
    open_gate(node, meanwhile)
    lost_start = node.claim(ended_before)  # its message waits in the queue
    node.cancel(stopped, message=False)
    (container,) = node.containers(job=meanwhile)
    wait_for(lambda: container.reload() or container.status == "exited", 20, "it to end")
    node.start()
    open_gate(node, through)
    jobs = {name: node.final(name) for name in (through, meanwhile, stopped, lost_start.id)}
    assert (jobs[through].state, jobs[through].exit_code) == (JobState.FAILED, 7)
    assert node.log(through, stream=1) == numbered("line", 100) + b"through\n" + b"z" * 40000 + b"\n"
    assert node.log(through, stream=2) == numbered("err", 100)
    assert (jobs[meanwhile].state, jobs[meanwhile].exit_code) == (JobState.SUCCEEDED, 0)
    assert node.log(meanwhile, stream=1) == numbered("line", 20) + b"over\n"
    assert (node.outputs(meanwhile) / "result").read_text() == "result\n"
    assert jobs[stopped].state is JobState.CANCELLED
    assert jobs[lost_start.id].state is JobState.SUCCEEDED
    for job_id in jobs:
        assert len(node.store.jobs.get(job_id).attempts) == 1
        node.gone(job_id)
    assert node.store.jobs.leases("restart") == {}


def test_sigterm_ends_the_agent_within_two_seconds_and_containers_run_on(make_node: Maker) -> None:
    node = make_node("sigterm")
    node.start()
    job_id = node.begin(COUNT % 50 + GATE + "echo on")
    assert node.stop() < 2
    (container,) = node.containers(job=job_id)
    assert container.status == "running"
    node.start()
    open_gate(node, job_id)
    assert node.final(job_id).state is JobState.SUCCEEDED
    assert node.log(job_id, stream=1) == numbered("line", 50) + b"on\n"


def test_a_container_that_lost_its_lease_is_removed_before_anything_else(make_node: Maker) -> None:
    node = make_node("fenced")
    node.start()
    job_id = node.begin(COUNT % 10 + "sleep 60")
    wait_for(lambda: b"line 10\n" in node.log(job_id), 10, "output")
    node.kill()
    reap(node, job_id)
    node.start()
    node.gone(job_id)
    assert node.log(job_id, stream=1) == numbered("line", 10)
    assert node.store.jobs.get(job_id).state is JobState.FAILED


def test_a_lease_that_is_lost_while_the_agent_follows(make_node: Maker) -> None:
    node = make_node("fenced2")
    node.start()
    job_id = node.begin("echo there; sleep 60")
    wait_for(lambda: node.log(job_id), 10, "output")
    reap(node, job_id)
    wait_for(lambda: not node.containers(job=job_id), 20, "the container to go", hint=node.said)
    assert node.store.jobs.get(job_id).end_reason is EndReason.NODE_LOST


def reap(node: AgentNode, job_id: str) -> None:
    """Do what the reaper does with a node that is silent for too long."""
    job = node.store.jobs.get(job_id)
    lost = moves.ended(job, Judgement(EndReason.NODE_LOST, "Failed: its node was lost."), None, now())
    node.store.jobs.move(job, lost, now=now(), by="scheduler")


def test_lost_messages_and_lost_containers(make_node: Maker) -> None:
    node = make_node("lost")
    node.start()
    job_id = node.submit("echo started anyway")
    node.claim(job_id, message=False)
    removed = node.begin("sleep 60")
    (container,) = node.containers(job=removed)
    container.remove(force=True)
    assert node.final(removed).end_reason is EndReason.CONTAINER_LOST
    assert node.final(job_id).state is JobState.SUCCEEDED


def test_an_agent_that_died_between_create_and_start(make_node: Maker) -> None:
    node = make_node("created")
    node.start()
    node.kill()
    starting = node.claim(node.submit("echo once"), message=False)
    labels = {
        wire.LABEL_NODE: node.name, wire.LABEL_JOB: starting.id, wire.LABEL_ATTEMPT: "1",
        wire.LABEL_LEASE: str(starting.lease), "labq.agent": (node.data / "agent-id").read_text().strip(),
    }  # fmt: skip
    left = node.docker.containers.create(
        "labq-test/busybox", ["echo", "twice"], name=f"labq-alice-{starting.id}-1", labels=labels
    )
    node.start()
    assert node.final(starting.id).state is JobState.SUCCEEDED
    assert node.log(starting.id) == b"once\n"
    assert left.id not in {container.id for container in node.containers()}


def test_another_node_and_another_lab_on_the_same_engine_are_left_alone(make_node: Maker) -> None:
    node = make_node("mine")
    node.start()
    others = [
        node.docker.containers.run(
            "labq-test/busybox", ["sleep", "60"], detach=True, network_mode="none",
            labels={wire.LABEL_NODE: name, wire.LABEL_JOB: "7", wire.LABEL_LEASE: "f" * 16, "labq.agent": "else"},
        )
        for name in ("yours", "mine")
    ]  # fmt: skip
    node.kill()
    node.start()
    node.run("true")
    for container in others:
        container.reload()
        assert container.status == "running"
        container.remove(force=True)


def test_a_forged_container_takes_nothing_from_the_job_that_it_names(make_node: Maker) -> None:
    node = make_node("forged")
    node.start()
    job_id = node.begin("touch $HOME/mine; " + GATE + "ls $HOME; echo over")
    wait_for(lambda: node.store.jobs.get(job_id).state is JobState.RUNNING, 20, "it to run", hint=node.said)
    (real,) = node.containers(job=job_id)
    labels = {**real.labels, wire.LABEL_LEASE: "bogus"}
    strange = {**labels, wire.LABEL_JOB: "../../x", wire.LABEL_ATTEMPT: "\u00b2"}
    forged = [
        node.docker.containers.run(
            "labq-test/busybox",
            ["sh", "-c", "echo forged; sleep 60"],
            detach=True,
            network_mode="none",
            labels=some,
        )
        for some in (labels, strange)
    ]
    for container in forged:
        wait_for(lambda one=container: _is_gone(one), 30, "it to be removed", interval=0.2, hint=node.said)  # type: ignore[misc]
    open_gate(node, job_id)
    wait_for(lambda: node.store.jobs.get(job_id).ended_at, 20, "the job to end", hint=node.said)
    assert node.log(job_id, stream=1) == b"mine\nover\n"


def _is_gone(container: Container) -> bool:
    try:
        container.reload()
    except docker.errors.NotFound:
        return True
    return False


def test_redis_away_across_the_end_of_a_job(make_node: Maker, redis_session: RedisServer) -> None:
    node = make_node("redis")
    node.start()
    job_id = node.begin(COUNT % 30 + GATE + "echo on; exit 4")
    wait_for(lambda: b"line 3\n" in node.log(job_id), 10, "output")
    # What everysec may lose is not the matter here.
    node.store.connection.client.config_set("appendfsync", "always")
    redis_session.kill()
    open_gate(node, job_id)
    (container,) = node.containers(job=job_id)
    wait_for(lambda: container.reload() or container.status == "exited", 20, "it to end")
    redis_session.start()
    job = node.final(job_id)
    assert (job.state, job.exit_code) == (JobState.FAILED, 4)
    assert node.log(job_id, stream=1) == numbered("line", 30) + b"on\n"
    assert node.run("true").state is JobState.SUCCEEDED  # and it takes work again


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_the_engine_goes_away_and_comes_back(make_node: Maker, engine: Engine, how: str) -> None:
    node = make_node(f"engine-{how}")
    node.start()
    through = node.begin(COUNT % 100 + GATE + "printf 'no newline'; exit 6")
    meanwhile = node.begin(COUNT % 20 + GATE + "echo result > /outputs/result")
    wait_for(lambda: b"line 5\n" in node.log(meanwhile), 10, "output")
    if how == "kill":
        engine.kill()
    else:
        engine.stop()
    open_gate(node, meanwhile)
    # It ends while no engine is there: its shim keeps the exit code.
    wait_for(lambda: (node.outputs(meanwhile) / "result").exists(), 20, "the end of a job")
    starting = node.claim(node.submit("echo after"))
    engine.start()
    open_gate(node, through)
    jobs = {job_id: node.final(job_id) for job_id in (through, meanwhile, starting.id)}
    assert jobs[through].exit_code == 6
    assert node.log(through, stream=1) == numbered("line", 100) + b"no newline"
    assert node.log(through, stream=2) == numbered("err", 100)
    assert (jobs[meanwhile].state, jobs[meanwhile].exit_code) == (JobState.SUCCEEDED, 0)
    # What it wrote after the engine had gone lay in a pipe that the engine never opened again: lost for everybody.
    written = node.log(meanwhile, stream=1)
    assert numbered("line", 5) in written
    assert numbered("line", 20).startswith(written)
    assert node.log(starting.id) == b"after\n"
    for job_id in jobs:
        node.gone(job_id)
