"""An agent whose disk the server does not read: logs while they grow, outputs, contexts, all through the server."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.worker.conftest import Maker
from integration.worker.node import AgentNode
from integration.worker.test_images import build_log, context, prepare
from support.redis import RedisServer
from support.waiting import wait_for

from labq.clock import now
from labq.logfile import read_frames
from labq.states import JobState
from labq.store import Person, Store


class Server:
    """The real server's API, which may be stopped and started."""

    def __init__(self, redis_url: str, data: Path) -> None:
        """Choose a port."""
        self.redis_url, self.data = redis_url, data
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [str(Path(sys.executable).parent / "labq-scheduler"), "--only", "api", "--port", str(self.port),
                   "--data-dir", str(self.data), "--redis-url", self.redis_url]  # fmt: skip
        with (self.data / "server.log").open("ab") as log:
            env = {**os.environ, "LABQ_CONFIG": str(self.data / "none.toml")}
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
            )
        wait_for(self.answers, 30, "the server", hint=lambda: (self.data / "server.log").read_text()[-3000:])

    def answers(self) -> bool:
        """Is it up?"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def stop(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def log(self, job_id: str) -> bytes:
        """What the server has of a job's log."""
        return b"".join(frame.payload for frame in read_frames(self.data / "logs" / job_id / "1.labqlog"))


@pytest.fixture(scope="module")
def remote(make_node: Maker, redis_session: RedisServer) -> Iterator[tuple[AgentNode, Server]]:
    directory = Path(tempfile.mkdtemp(prefix="labq-server-"))
    server = Server(redis_session.url, directory)
    people = Store(redis_session.url).people
    people.put(Person("remote-agent", agent=True))
    settings = {
        "LABQ_SHARED_FILES": "0",
        "LABQ_SERVER": f"http://127.0.0.1:{server.port}",
        "LABQ_NODE_TOKEN": people.new_token("remote-agent"),
    }
    node = make_node("remote", settings)
    server.start()
    node.start()
    yield node, server
    node.close()
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


def test_the_log_arrives_while_it_grows_and_the_outputs_at_the_end(remote: tuple[AgentNode, Server]) -> None:
    node, server = remote
    script = "echo first; sleep 1.5; seq 20000; mkdir /outputs/a; echo x > /outputs/a/b; ln -s /etc/passwd /outputs/l"
    job_id = node.begin(script)
    wait_for(lambda: node.log(job_id) or server.log(job_id), 10, "its first line", interval=0.002)
    at = now()
    assert wait_for(lambda: server.log(job_id), 5, "the line on the server") == b"first\n"
    assert now() - at < 1
    assert node.final(job_id).state is JobState.SUCCEEDED
    whole = b"first\n" + b"".join(b"%d\n" % i for i in range(1, 20001))
    assert server.log(job_id) == whole  # before the end was told
    path = server.data / "outputs" / job_id / "1.tar"
    wait_for(path.exists, 10, "the outputs", hint=node.said)
    with tarfile.open(path) as tar:
        assert sorted(tar.getnames()) == ["a", "a/b", "l"]
        assert tar.getmember("l").issym()
    wait_for(lambda: not node.outputs(job_id).exists(), 5, "our copy to be removed")
    assert not (node.data / "logs" / job_id / "1.labqlog").exists()


def test_a_server_that_is_away_at_the_end(remote: tuple[AgentNode, Server]) -> None:
    node, server = remote
    job_id = node.begin("seq 3; echo kept > /outputs/f; sleep 0.5")
    server.stop()
    wait_for(lambda: "does not answer" in node.said(), 10, "the agent to notice", hint=node.said)
    node.kill()
    server.start()
    node.start()
    assert node.final(job_id).state is JobState.SUCCEEDED
    assert server.log(job_id) == b"1\n2\n3\n"
    wait_for((server.data / "outputs" / job_id / "1.tar").exists, 15, "the outputs", hint=node.said)


def test_a_build_whose_context_is_fetched(remote: tuple[AgentNode, Server]) -> None:
    node, server = remote
    digest = context(
        node, "FROM labq-test/busybox:latest\nCOPY word /word\nCMD cat /word\n", word="fetched\n"
    )
    (server.data / "contexts").mkdir(exist_ok=True)
    (node.data / "contexts" / f"{digest}.tar").rename(server.data / "contexts" / f"{digest}.tar")
    job_id = node.submit([], context=digest)
    said = prepare(node, job_id)
    assert said.state == "ready", said.error
    assert list((node.data / "contexts").iterdir()) == []
    key = node.store.jobs.get(job_id).image_key.replace(":", "-")
    name = f"{key}@remote-1.labqlog"
    text = b"".join(f.payload for f in read_frames(server.data / "logs" / "images" / name)).decode()
    assert "COPY word /word" in text
    assert build_log(node, job_id) == ""  # ours is gone: the server has it
    node.claim(job_id)
    node.final(job_id)
    assert server.log(job_id) == b"fetched\n"
