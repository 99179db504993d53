"""The real server as a subprocess on a Redis of its own, and somebody who plays the agent."""

from __future__ import annotations

import io
import itertools
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from builders import make_node
from support.lab import free_port
from support.redis import RedisServer
from support.waiting import wait_for

from labq import moves
from labq.clock import now
from labq.ending import EndReason, Judgement
from labq.job import GpuHold, Job
from labq.logfile import LogWriter
from labq.moves import Claim
from labq.node import Node
from labq.store import Person, Store

NODE = make_node("n1", gpus=8, cpus=1000.0, memory=2**50)


class Server:
    """``labq-scheduler`` with its data directory."""

    def __init__(self, redis: RedisServer, data: Path, *flags: str) -> None:
        self.redis = redis
        self.data = data
        self.flags = flags
        self.env: dict[str, str] = {}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = Store(redis.url)
        self.log = data.parent / f"{data.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[httpx.Client] = []

    def start(self, *, wait: bool = True) -> None:
        """Starts it and waits until it is ready."""
        command = [
            sys.executable, "-m", "labq_scheduler", "--redis-url", self.redis.url, "--port", str(self.port),
            "--data-dir", str(self.data), *self.flags,
        ]  # fmt: skip
        env = {"PATH": os.environ["PATH"], "LABQ_CONFIG": "/dev/null", "PYTHONWARNINGS": "error", **self.env}
        if "PYTHONPATH" in os.environ:  # the code of another checkout than the one that is installed
            env["PYTHONPATH"] = os.environ["PYTHONPATH"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
        if wait:
            wait_for(self.ready, 20, "the server to be ready", hint=self.log.read_text)

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def end(self, how: signal.Signals = signal.SIGTERM, timeout: float = 10.0) -> int:
        """Sends the signal and returns the exit status."""
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(timeout)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        self.store.connection.client.close()

    def person(self, name: str = "", *, admin: bool = False, agent: bool = False) -> httpx.Client:
        """Returns a client that speaks as a person of that name (new when empty)."""
        name = name or f"u{uuid4().hex[:8]}"
        self.store.people.put(Person(name, 1234, 1234, admin, agent))
        token = self.store.people.new_token(name)
        headers = {"Authorization": f"Bearer {token}", "X-Test-Name": name}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=20)
        self._clients.append(client)
        return client


class FakeAgent:
    """Moves jobs as an agent would, without a container."""

    def __init__(self, store: Store, data: Path) -> None:
        self.store = store
        self.data = data
        self._numbers = itertools.count()

    def start(self, job_id: str) -> Job:
        job = self.store.jobs.get(job_id)
        uuid = f"share-{uuid4().hex}"
        claim = Claim(f"lease{next(self._numbers)}", _node_with(uuid), (GpuHold(uuid),), 0.01, 1)
        new = moves.starting(job, claim)
        self.store.jobs.move(job, new, now=now(), by="scheduler", claim=claim)
        return new

    def run(self, job_id: str) -> Job:
        job = self.start(job_id)
        new = moves.running(job, now(), "sha256:abc")
        self.store.jobs.move(job, new, now=now(), by="agent n1")
        return new

    def end(
        self, job_id: str, code: int = 0, reason: EndReason | None = None, at: float | None = None
    ) -> Job:
        job = self.store.jobs.get(job_id)
        why = reason or (EndReason.COMPLETED if code == 0 else EndReason.EXIT_CODE)
        new = moves.ended(job, Judgement(why, f"It ended with {code}."), code, at or now())
        self.store.jobs.move(job, new, now=at or now(), by="agent n1")
        return new

    def log(self, job_id: str, attempt: int = 1) -> LogWriter:
        return LogWriter(self.data / "logs" / job_id / f"{attempt}.labqlog")


def _node_with(uuid: str) -> Any:
    from dataclasses import replace

    return replace(NODE, gpus=(*NODE.gpus, replace(NODE.gpus[0], uuid=uuid)))


def submit(client: httpx.Client, **spec: Any) -> str:
    """Submits a job and returns its id."""
    answer = client.post("/v1/jobs", json={"spec": {"image": "busybox", **spec}})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ran(
    server: Server, client: httpx.Client, node: Node, *holds: GpuHold, ago: float, seconds: float = 0.0
) -> str:
    """Makes a job that began so long ago and ran so long; it runs still when ``seconds`` is 0."""
    request = f"share:{holds[0].memory // 2**30}GB" if holds[0].memory else str(len(holds))
    job_id = submit(client, gpus=request)
    job = server.store.jobs.get(job_id)
    claim = Claim(f"lease-{job_id}", node, holds, 0.1, 1)
    leased = moves.starting(job, claim)
    server.store.jobs.move(job, leased, now=now(), by="scheduler", claim=claim)
    running = moves.running(leased, now() - ago, "sha256:a")
    server.store.jobs.move(leased, running, now=now(), by=f"agent {node.name}")
    if seconds:
        over = moves.ended(running, Judgement(EndReason.COMPLETED, "Over."), 0, now() - ago + seconds)
        server.store.jobs.move(running, over, now=now(), by=f"agent {node.name}")
    return job_id


def name_of(client: httpx.Client) -> str:
    return client.headers["x-test-name"]


def make_tar(**files: bytes) -> bytes:
    """Returns a tar with the files; ``__`` in a name is a dot."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """Returns the error of an answer after a look at its shape."""
    body = answer.json()
    assert set(body) == {"error"}, body
    error = body["error"]
    assert {"code", "what", "next"} <= set(error) <= {"code", "what", "next", "details"}
    assert error["what"]
    assert isinstance(error["next"], str)
    return dict(error)
