"""An agent as a process of its own, driven as the scheduler drives it: submit, claim, message."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from support.waiting import wait_for

from labq import moves, wire
from labq.clock import now
from labq.ending import EndReason, StopRequest
from labq.image import image_key
from labq.job import GpuHold, Job
from labq.limits import resolve_cpus, resolve_memory
from labq.logfile import STDERR, STDOUT, read_frames
from labq.node import Node
from labq.spec import JobSpec
from labq.states import FINAL, JobState
from labq.store import Store
from labq.store.node_users import url_of_node
from labq_scheduler.node_users import NodeUserKeeper

BUSYBOX = "labq-test/busybox:latest"
UID, GID = 12345, 12346


class AgentNode:
    """One node with its agent, and a stand-in for the scheduler."""

    def __init__(
        self,
        docker_env: Mapping[str, str],
        redis_url: str,
        data: Path,
        name: str = "n1",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare; nothing runs yet."""
        self.name, self.data, self.redis_url = name, data, redis_url
        self.store = Store(redis_url)
        # As one that joined: with rights of its own alone, which the keeper gives again after a restart of Redis.
        self._users = NodeUserKeeper(self.store)
        self._users.start()
        password = self.store.node_users.give(name)
        assert password is not None
        self.env = dict(docker_env) | {
            "LABQ_REDIS_URL": url_of_node(redis_url, name, password),
            "LABQ_SHARED_FILES": "1",
            "LABQ_CONFIG": str(data / "no-such-config.toml"),
            "LABQ_GPUS": "sim:2xRTX-4090-24GB",
            "LABQ_NODE_MEMORY": "64GB",
            "LABQ_NODE_CPUS": "64",
            "LABQ_RUN_DIR": str(data / "run"),
        }
        self.env |= dict(settings or {})
        self.docker = docker.DockerClient(
            base_url=docker_env.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        )
        self.process: subprocess.Popen[bytes] | None = None
        self._raw = Redis.from_url(redis_url)
        self.queue = Queue(wire.queue_name(name), connection=self._raw, serializer=JSONSerializer)
        self.logfile = data / f"{name}.agent.log"

    def start(self) -> None:
        """Start the agent and wait until it takes work."""
        before = self._workers()
        self.data.mkdir(parents=True, exist_ok=True)
        if self.env["LABQ_SHARED_FILES"] == "1":
            (self.data / "server.json").write_text("{}")  # as the server does
        command = [sys.executable, "-X", "dev" if os.environ.get("LABQ_TEST_DEV") else "utf8", "-m", "labq_worker",
                   "--name", self.name, "--data-dir", str(self.data), "--log-level", "debug"]  # fmt: skip
        with self.logfile.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        wait_for(lambda: self._workers() - before, 20, "the agent to listen", hint=self.said)

    def _workers(self) -> set[bytes | str]:
        return set(self._raw.smembers(f"rq:workers:{self.queue.name}"))

    def said(self) -> str:
        """The agent's log."""
        return self.logfile.read_text(errors="replace") if self.logfile.exists() else ""

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> float:
        """SIGTERM; returns how long it took."""
        assert self.process is not None
        at = now()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        return now() - at

    def close(self) -> None:
        """End the agent and remove its containers."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for container in self.containers():
            with contextlib.suppress(docker.errors.APIError):  # the agent may just be removing it
                container.remove(force=True, v=True)
        self._users.stop()
        self.docker.close()
        self._raw.close()
        self.store.connection.client.close()

    def containers(self, **labels: str) -> list[Any]:
        """Containers of this node, running or not."""
        wanted = [f"{wire.LABEL_NODE}={self.name}"] + [f"labq.{key}={value}" for key, value in labels.items()]
        return list(self.docker.containers.list(all=True, filters={"label": wanted}, ignore_removed=True))

    def node(self) -> Node:
        """What the agent says of itself."""
        return self.store.nodes.get(self.name)

    def submit(
        self, command: Sequence[str] | str, *, secrets: Mapping[str, str] | None = None, **spec: Any
    ) -> str:
        """Submit a job; a text is a shell script. Keys are those of a spec as people write it."""
        words = ["sh", "-c", command] if isinstance(command, str) else list(command)
        body = {"command": words, **spec}
        if "context" not in body:
            body.setdefault("image", BUSYBOX)
        if secrets:
            body["secrets"] = list(secrets)
        parsed = JobSpec.from_wire(body)
        job = Job(
            id="0", owner="alice", uid=UID, gid=GID, spec=parsed, state=JobState.QUEUED, submitted_at=now(),
            seq=0, image_key=image_key(parsed),
        )  # fmt: skip
        return self.store.jobs.submit(job, indices=None, now=now(), secrets=secrets).id

    def claim(self, job_id: str, gpus: Sequence[str] = (), *, message: bool = True) -> Job:
        """Lease this node to the job, and tell the agent unless the message is to be lost."""
        job, node = self.store.jobs.get(job_id), self.node()
        claim = moves.Claim(
            token=secrets.token_hex(8), node=node, gpus=tuple(GpuHold(uuid) for uuid in gpus),
            cpus=resolve_cpus(job.spec, node), memory=resolve_memory(job.spec, node),
            disk=job.spec.disk or 0,
        )  # fmt: skip
        starting = moves.starting(job, claim)
        self.store.jobs.move(job, starting, now=now(), by="test", claim=claim)
        if message:
            self.send(wire.START, starting)
        return starting

    def send(self, function: str, job: Job) -> None:
        """Send a message about an attempt."""
        self.queue.enqueue_call(function, args=[job.id, job.attempt, job.lease], result_ttl=0)

    def run(self, command: Sequence[str] | str, gpus: Sequence[str] = (), **spec: Any) -> Job:
        """Submit, claim, and return the job at its end."""
        job_id = self.submit(command, **spec)
        self.claim(job_id, gpus)
        return self.final(job_id)

    def begin(self, command: Sequence[str] | str, **spec: Any) -> str:
        """Submit and claim; return the id when the job runs."""
        job_id = self.submit(command, **spec)
        self.claim(job_id)
        self.state(job_id, JobState.RUNNING)
        return job_id

    def state(self, job_id: str, *states: JobState, timeout: float = 20) -> Job:
        """Wait until the job is in one of the states."""

        def there() -> Job | None:
            job = self.store.jobs.get(job_id)
            return job if job.state in states else None

        found = wait_for(there, timeout, f"job {job_id} to be {states}", interval=0.005, hint=self.said)
        assert found is not None
        return found

    def final(self, job_id: str, timeout: float = 30) -> Job:
        """Wait for the end."""
        return self.state(job_id, *FINAL, timeout=timeout)

    def cancel(self, job_id: str, *, message: bool = True) -> None:
        """Do what the API does on `labq cancel`."""
        job = self.store.jobs.get(job_id)
        stop = StopRequest(EndReason.CANCELLED_BY_USER, "alice", now())
        self.store.jobs.move(job, moves.stopping(job, stop), now=now(), by="alice")
        if message:
            self.send(wire.STOP, job)

    def log(self, job_id: str, attempt: int = 1, stream: int | None = None) -> bytes:
        """The bytes of the log file."""
        wanted = {STDOUT, STDERR} if stream is None else {stream}
        path = self.data / "logs" / job_id / f"{attempt}.labqlog"
        return b"".join(frame.payload for frame in read_frames(path) if frame.stream in wanted)

    def outputs(self, job_id: str, attempt: int = 1) -> Path:
        """The outputs."""
        return self.data / "outputs" / job_id / str(attempt)

    def gone(self, job_id: str) -> None:
        """Wait until nothing of the job is left on the node but its log and outputs."""
        wait_for(
            lambda: not self.containers(job=job_id),
            10,
            f"container of {job_id} to be removed",
            hint=self.said,
        )
        wait_for(lambda: not (self.data / "homes" / job_id).exists(), 10, "its home to be removed")
