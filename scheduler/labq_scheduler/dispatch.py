"""Messages to agents, to the notifier and to the provisioner, through RQ. The only importer of rq on this side.

A message is a hint (labq/wire.py): the agent looks up the truth in the store, so a message that is lost,
late or doubled does no harm. JSON only: nothing on these queues is ever unpickled.
"""

from __future__ import annotations

from typing import Any

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from labq import wire
from labq.errors import UnavailableError

#: Seconds after which an unread message is worth nothing: the agent has reconciled meanwhile.
MESSAGE_TTL = 600
#: Seconds that RQ keeps a failed message for an admin to look at.
FAILURE_TTL = 86_400


class Dispatcher:
    """Sends messages to the queues of nodes, of the notifier and of the provisioner."""

    def __init__(self, redis_url: str) -> None:
        """Open lazily. RQ wants a client of its own, one that does not decode."""
        self._redis = redis.Redis.from_url(redis_url, socket_connect_timeout=5, health_check_interval=30)
        self._queues: dict[str, Queue] = {}

    def start(self, node: str, job_id: str, attempt: int, lease: str) -> None:
        """Tell a node to start an attempt."""
        self._send(wire.queue_name(node), wire.START, [job_id, attempt, lease])

    def stop(self, node: str, job_id: str, attempt: int, lease: str) -> None:
        """Tell a node to stop an attempt, as the job's record says."""
        self._send(wire.queue_name(node), wire.STOP, [job_id, attempt, lease])

    def prepare(self, node: str, image_key: str, job_id: str) -> None:
        """Tell a node to build or pull an image."""
        self._send(wire.queue_name(node), wire.PREPARE, [image_key, job_id])

    def deliver(self, notice_id: str, ttl: int) -> None:
        """Tell the notifier to work the lane of a notice.

        Args:
            notice_id: of the first notice of the lane.
            ttl: seconds after which it is told again anyway.
        """
        self._send(wire.CONTROL_QUEUE, wire.DELIVER, [notice_id], ttl)

    def provision(self, run_id: str) -> None:
        """Tell the provisioner that a run was written down."""
        self._send(wire.PROVISION_QUEUE, wire.PROVISION, [run_id])

    def _send(self, name: str, function: str, args: list[Any], ttl: int = MESSAGE_TTL) -> None:
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = Queue(name, connection=self._redis, serializer=JSONSerializer)
        try:
            queue.enqueue_call(
                func=function, args=args, ttl=ttl, result_ttl=0, failure_ttl=FAILURE_TTL, timeout=60
            )
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise UnavailableError(f"Redis does not answer ({type(error).__name__})") from error
