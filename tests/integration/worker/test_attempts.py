"""One attempt from its lease to its end, on a real engine: exit codes, limits, environment, outputs."""

import json

import pytest
from integration.worker.node import BUSYBOX, GID, UID, AgentNode

from labq.clock import now
from labq.ending import EndReason
from labq.states import JobState
from labq_worker.containers import Engine


def test_a_job_runs_as_its_owner_and_leaves_log_outputs_and_verdict(node: AgentNode) -> None:
    script = "id; pwd; echo to-stderr >&2; echo 0.97 > /outputs/accuracy; touch $HOME/scratch; env"
    job = node.run(script, name="first", env={"COLOUR": "blue"})
    assert (job.state, job.end_reason, job.exit_code) == (JobState.SUCCEEDED, EndReason.COMPLETED, 0)
    assert job.verdict is not None
    assert job.verdict.startswith("Succeeded after")
    assert job.image_id == node.docker.images.get(BUSYBOX).id
    said = node.log(job.id, stream=1).decode()
    assert f"uid={UID} gid={GID}" in said
    assert node.log(job.id, stream=2) == b"to-stderr\n"
    env = dict(line.split("=", 1) for line in said.splitlines() if "=" in line and not line.startswith("uid"))
    assert env["LABQ_JOB_ID"] == job.id
    assert (env["LABQ_JOB_NAME"], env["LABQ_ATTEMPT"], env["LABQ_NODE"]) == ("first", "1", "n1")
    assert (env["HOME"], env["USER"], env["COLOUR"]) == ("/home/alice", "alice", "blue")
    assert env["NVIDIA_VISIBLE_DEVICES"] == "void"
    made = node.outputs(job.id) / "accuracy"
    assert made.read_text() == "0.97\n"
    assert (made.stat().st_uid, made.stat().st_gid) == (UID, GID)
    assert node.outputs(job.id).stat().st_mode & 0o777 == 0o750
    node.gone(job.id)
    assert node.store.jobs.leases("n1") == {}


def test_what_the_engine_is_asked_for(node: AgentNode) -> None:
    job_id = node.begin("sleep 60", cpus=1.5, memory="64MB", name="look at me")
    (container,) = node.containers(job=job_id)
    body = node.docker.api.inspect_container(container.id)
    host, config = body["HostConfig"], body["Config"]
    assert body["Name"] == f"/labq-alice-{job_id}-1"
    assert config["User"] == f"{UID}:{GID}"
    assert host["Init"] is True
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (1_500_000_000, 2**26, 2**26)
    assert host["ShmSize"] == 2**25
    assert host["PidsLimit"] > 0
    assert host["CgroupParent"] in {"/labq/alice", "labq-alice.slice"}
    assert config["Labels"]["labq.owner"] == "alice"
    assert host["AutoRemove"] is False
    node.cancel(job_id)
    node.final(job_id)


@pytest.mark.parametrize(
    ("command", "reason", "code", "says"),
    [
        ("echo the reason; exit 3", EndReason.EXIT_CODE, 3, "last line: the reason"),
        (["no-such-program"], EndReason.COMMAND_NOT_FOUND, 127, "no-such-program"),
        (["/etc/passwd"], EndReason.COMMAND_NOT_FOUND, 126, "/etc/passwd"),
        ("exit 255", EndReason.EXIT_CODE, 255, "exit code 255"),
        ("kill -SEGV $$", EndReason.EXIT_CODE, 139, "SIGSEGV"),
    ],
)
def test_failures(node: AgentNode, command: str, reason: EndReason, code: int, says: str) -> None:
    job = node.run(command)
    assert job.state is JobState.FAILED
    assert (job.end_reason, job.exit_code) == (reason, code)
    assert says in (job.verdict or "")
    node.gone(job.id)


def test_out_of_memory(node: AgentNode) -> None:
    job = node.run(["tail", "/dev/zero"], memory="16MB")
    assert (job.end_reason, job.exit_code) == (EndReason.OUT_OF_MEMORY, 137)
    assert "its limit of 16MB" in (job.verdict or "")


def test_the_engines_events_tell_what_its_state_may_not(
    node: AgentNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", node.env["DOCKER_HOST"])
    began = now()
    hungry, killed = (
        node.docker.containers.run(
            BUSYBOX, ["sh", "-c", command], mem_limit="16m", memswap_limit="16m", init=True, detach=True,
            network_mode="none", labels={"labq.test": "1"},
        )
        for command in ("tail /dev/zero", "kill -9 $$")
    )  # fmt: skip
    try:
        assert [one.wait()["StatusCode"] for one in (hungry, killed)] == [137, 137]
        engine = Engine()
        assert engine.ran_out_of_memory(str(hungry.id), began, now())
        assert not engine.ran_out_of_memory(str(killed.id), began, now())
    finally:
        hungry.remove(force=True)
        killed.remove(force=True)


def test_simulated_gpus_are_named_and_said_to_be_so(node: AgentNode) -> None:
    uuids = [gpu.uuid for gpu in node.node().gpus]
    assert uuids == ["SIM-n1-0", "SIM-n1-1"]
    job = node.run("env", gpus=uuids)
    said = node.log(job.id).decode().splitlines()
    assert f"NVIDIA_VISIBLE_DEVICES={','.join(uuids)}" in said
    assert "LABQ_GPUS_SIMULATED=1" in said
    assert job.simulated


def test_a_start_that_the_engine_refuses_leaves_nothing(node: AgentNode) -> None:
    job = node.run("true", workdir="/etc/passwd/x")
    assert job.state is JobState.FAILED
    assert job.end_reason in {EndReason.START_FAILED, EndReason.COMMAND_NOT_FOUND}
    assert job.started_at is None
    node.gone(job.id)


def test_a_container_name_that_is_taken(node: AgentNode) -> None:
    job_id = node.submit("true")
    other = node.docker.containers.create(
        BUSYBOX, ["true"], name=f"labq-alice-{job_id}-1", labels={"labq.test": "1"}
    )
    node.claim(job_id)
    assert node.final(job_id).state is JobState.SUCCEEDED
    other.remove()


def test_an_image_that_has_gone(node: AgentNode) -> None:
    job_id = node.submit("true", image="labq-test/never-built:1")
    node.claim(job_id)
    job = node.state(job_id, JobState.QUEUED)  # the lease is given back: another node, or a new build
    assert job.attempts[-1].reason is EndReason.START_REJECTED
    assert "went away" in job.attempts[-1].verdict


def test_retries_use_attempts_of_their_own(node: AgentNode) -> None:
    job_id = node.submit('echo "attempt $LABQ_ATTEMPT"; test $LABQ_ATTEMPT = 2', retries=1)
    node.claim(job_id)
    node.state(job_id, JobState.QUEUED)
    node.claim(job_id)
    assert node.final(job_id).state is JobState.SUCCEEDED
    assert node.log(job_id, 1) == b"attempt 1\n"
    assert node.log(job_id, 2) == b"attempt 2\n"


def test_peak_memory_is_seen(node: AgentNode) -> None:
    # 20 MB in the shell's own memory, then the end: it is read while the cgroup is still there.
    job = node.run("head -c 20000000 /dev/zero | sort >/dev/null; sleep 2.5", memory="256MB")
    assert "peak memory" in (job.verdict or "")


def test_nothing_is_started_for_a_stale_message(node: AgentNode) -> None:
    done = node.run("true")
    node.queue.enqueue_call("labq_worker.tasks.start_attempt", args=[done.id, 1, "0" * 16], result_ttl=0)
    job = node.run("true")  # goes through the same queue, after it
    assert job.state is JobState.SUCCEEDED
    assert not node.containers(job=done.id)
    assert json.loads(json.dumps(node.store.jobs.leases("n1"))) == {}
