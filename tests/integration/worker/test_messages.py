"""What is no message of labq on a node's queue is refused, logged and removed; nothing is ever unpickled."""

import os
from pathlib import Path

from integration.worker.node import AgentNode
from rq import Queue
from rq.serializers import DefaultSerializer
from support.waiting import wait_for

from labq import wire
from labq.states import JobState


class Bomb:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        """Where to leave it."""
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """What unpickling calls."""
        return os.system, (f"touch {self.path}",)


def test_foreign_messages(node: AgentNode, tmp_path: Path) -> None:
    bombed, called = tmp_path / "unpickled", tmp_path / "called"
    pickled = Queue(node.queue.name, connection=node.queue.connection, serializer=DefaultSerializer)
    pickled.enqueue_call("labq_worker.tasks.start_attempt", args=[Bomb(bombed)], meta={"x": Bomb(bombed)})
    node.queue.enqueue_call("os.system", args=[f"touch {called}"])
    node.queue.enqueue_call(wire.START, args=["1"])
    node.queue.enqueue_call(wire.START, args=[{"a": 1}, 1, "x"])
    node.queue.enqueue_call(wire.STOP, kwargs={"job_id": "1"})
    node.queue.connection.lpush(f"rq:queue:{node.queue.name}", "no-such-message")
    for strange in (b"\xff\xfe", b"", b"../../x", b"x" * 10_000):
        node.queue.connection.rpush(f"rq:queue:{node.queue.name}", strange)
    node.queue.connection.set("rq:job:no-hash", "x")
    node.queue.connection.rpush(f"rq:queue:{node.queue.name}", "no-hash")
    (worker,) = node._workers()
    job = node.run("true")  # behind them all in the queue
    assert job.state is JobState.SUCCEEDED
    assert not bombed.exists()
    assert not called.exists()
    said = node.said()
    assert said.count("refused message ") == 6
    assert said.count("is no id of a message") == 4
    assert node._workers() == {worker}  # it went on, and was not made anew
    assert "is a pickle" in said
    assert "'os.system' is not one that is obeyed here" in said
    wait_for(lambda: node.queue.count == 0, 5, "the queue to be empty")
    left = wait_for(lambda: not list(node.queue.connection.scan_iter("rq:job:*")), 5, "no rubbish in Redis")
    assert left
    assert node.queue.connection.llen(f"rq:queue:{node.queue.name}:intermediate") == 0


def test_rq_sees_the_worker_and_its_queue(node: AgentNode) -> None:
    from rq import SimpleWorker

    (worker,) = SimpleWorker.all(queue=node.queue)
    assert worker.name.startswith("n1-")
    assert node.queue.name in [queue.name for queue in Queue.all(connection=node.queue.connection)]
