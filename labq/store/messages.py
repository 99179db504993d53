"""Takes messages of one queue from RQ: a node's agent its own, the notifier those of `control`.

A message is short and idempotent, and is handed over at once: a container's days of life are never an RQ job's.
So what RQ does around long jobs (executions, heartbeats, registries, results; some 50 commands to Redis for each)
is left out: take, check, hand over, delete.

Nothing is ever unpickled: the payload is read as JSON and its function compared with the few that the reader obeys.
What is anything else is refused, logged and removed.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import signal
import threading
import zlib
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import redis
from rq import Queue, SimpleWorker
from rq.exceptions import NoSuchJobError, StopRequested
from rq.job import Job as Message
from rq.serializers import JSONSerializer
from rq.utils import as_text
from rq.utils import now as rq_now

from labq.clock import monotonic

log = logging.getLogger(__name__)
#: Seconds until Redis is asked again.
AGAIN = 0.5
#: Seconds: a message is waited for WORKER_TTL - 15 at a time; then the connection is proved to be alive.
WORKER_TTL = 60
#: Seconds between two renewals of the registration.
BEAT = 10.0
#: What RQ takes as the id of a message; its own are UUIDs.
_LEGAL_ID = re.compile(rb"[A-Za-z0-9_-]{1,200}\Z")
Handler = Callable[..., None]


class RefusedError(Exception):
    """A message that nobody here obeys; says why."""


def read_message(data: bytes, obeyed: Mapping[str, tuple[type, ...]]) -> tuple[str, list[Any]]:
    """Return the function's name and the arguments of a message. Pure.

    Args:
        data: the payload as RQ keeps it: perhaps compressed, JSON ``[function, instance, args, kwargs]``.
        obeyed: the functions that the reader obeys, with the types of their arguments.

    Raises:
        RefusedError: it is not one of these, or is not JSON (a pickle is not).
    """
    try:
        data = zlib.decompress(data) if data[:1] == b"\x78" else data
        body = json.loads(data)
    except (ValueError, zlib.error, RecursionError):
        kind = "a pickle" if data[:1] == b"\x80" else "no JSON"
        raise RefusedError(f"its payload is {kind}; only JSON is read, and nothing is unpickled") from None
    if not isinstance(body, list) or len(body) != 4 or not isinstance(body[0], str):
        raise RefusedError("its payload has not the form [function, null, args, {}]")
    name, instance, args, kwargs = body
    types = obeyed.get(name)
    if types is None or instance is not None or kwargs:
        raise RefusedError(f"function {name[:100]!r} is not one that is obeyed here")
    if not isinstance(args, list) or len(args) != len(types):
        raise RefusedError(f"{name} takes {len(types)} arguments")
    for value, kind_of in zip(args, types, strict=True):
        if not isinstance(value, kind_of) or isinstance(value, bool):
            raise RefusedError(f"an argument of {name} is {type(value).__name__}, not {kind_of.__name__}")
    return name, args


class RawQueue(Queue):
    """A queue whose messages are taken without reading what they say."""

    @classmethod
    def dequeue_any(cls, queues: Any, timeout: int | None, connection: Any, *_: Any, **__: Any) -> Any:
        """Return the id of the next message in an empty ``Message``, and its queue."""
        queue = next(iter(queues))
        # Not None for what is refused: RQ's loop ends at it. Not an exception either: the message would be put
        # back, and be the next one again, for ever.
        while (found := cls.lmove(connection, queue.key, timeout)) is not None:
            if _LEGAL_ID.match(found[1]):
                # The worker only wants its id to log; the payload is read in execute_job.
                return Message(as_text(found[1]), connection=connection, serializer=JSONSerializer), queue
            log.error("refused a message on queue %s: %.80r is no id of a message", queue.name, found[1])
            connection.lrem(queue.intermediate_queue_key, 1, found[1])
        return None


class QueueWorker(SimpleWorker):
    """RQ's worker, in the main thread, for one queue."""

    queue_class = RawQueue
    exponential_backoff_factor = 1.0
    max_connection_wait_time = AGAIN
    _told = False
    _last_beat = 0.0
    #: set by TakeWork
    obeyed: Mapping[str, tuple[type, ...]]
    handlers: Mapping[str, Handler]
    on_stop: Callable[[], None]
    on_turn: Callable[[], None]

    def subscribe(self) -> None:
        """Listen to no commands: stop and kill come through labq, from who may give them."""

    def bootstrap(self, *_: Any, **__: Any) -> None:
        """Register, without taking over the logging of the whole process."""
        self.register_birth()  # type: ignore[no-untyped-call]
        self.set_state("started")
        log.info("listening on queue %s as %s", self.queues[0].name, self.name)

    def run_maintenance_tasks(self) -> None:
        """Clean no registries: messages are handed over at once and are in none."""
        self.last_cleaned_at = rq_now()  # type: ignore[assignment]

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Say it once: messages take no time, and "busy" for a millisecond tells nobody anything."""
        if not self._told:
            self._told = True
            super().set_state("idle", pipeline)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Renew the registration; not with each message, it lasts two minutes. RQ calls this at each turn."""
        self.on_turn()
        if monotonic() - self._last_beat >= BEAT:
            self._last_beat = monotonic()
            super().heartbeat(timeout, pipeline)

    def _install_signal_handlers(self) -> None:
        signal.signal(signal.SIGINT, self.request_stop)
        signal.signal(signal.SIGTERM, self.request_stop)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Take no more work. What was handed over goes on."""
        self._stop_requested = True
        self.on_stop()
        raise StopRequested

    def execute_job(self, job: Message, queue: Queue) -> None:
        """Hand one message over and delete it; refuse what is no message of labq."""
        try:
            data = self._payload(job.id)
            if data is None:
                log.info("message %s has expired; it was only a hint", job.id)
            else:
                name, args = read_message(data, self.obeyed)
                self.handlers[name](*args)
        except RefusedError as error:
            log.error("refused message %s on queue %s: %s", job.id, queue.name, error)  # noqa: TRY400
        except (StopRequested, redis.RedisError):
            raise  # the next reader, or our next connection, takes it back
        except Exception:
            log.exception("message %s failed", job.id)
        self._forget(job.id, queue)

    def _payload(self, message_id: str) -> bytes | None:
        try:
            return self.connection.hget(Message.key_for(message_id), "data")  # type: ignore[return-value]
        except redis.ResponseError as error:
            if "WRONGTYPE" in str(error):
                raise RefusedError("its record is no hash") from None
            raise

    def _forget(self, message_id: str, queue: Queue) -> None:
        pipe = self.connection.pipeline(transaction=False)
        pipe.delete(Message.key_for(message_id))
        pipe.lrem(queue.intermediate_queue_key, 1, message_id)
        pipe.execute()


class TakeWork:
    """Listens on one queue until it is told to stop, whatever becomes of Redis."""

    def __init__(
        self,
        redis_url: str,
        queue: str,
        name: str,
        handlers: Mapping[str, tuple[Handler, tuple[type, ...]]],
        on_stop: Callable[[], None],
        *,
        alone: bool = True,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            redis_url: the Redis of the queues.
            queue: its name.
            name: how `rq info` shows this reader, with a part that is new at each start.
            handlers: by function name: what is called, and the types of its arguments.
            on_stop: called in the signal handler; must return at once.
            alone: nobody else reads this queue: what a killed reader had taken is put back at once, and its
                registration forgotten. Otherwise a message that was taken is lost with its reader: it was a hint.
            on_turn: called at each turn: after each wait for a message, and each try to reach Redis.
        """
        self._redis = redis.Redis.from_url(
            redis_url, socket_connect_timeout=5, socket_timeout=WORKER_TTL, health_check_interval=30
        )
        self._queue, self._name, self._alone = queue, name, alone
        self._handlers = handlers
        self._on_stop, self._on_turn = on_stop, on_turn
        self._stopped = threading.Event()

    def run(self) -> None:
        """Listen; returns after SIGTERM or SIGINT. Only in the main thread (signals)."""
        told = False
        while not self._stopped.is_set():
            self._on_turn()
            try:
                self._listen_once()
                told = False
                self._stopped.wait(AGAIN)  # it returns by itself only after a fault: never spin
            except (redis.ConnectionError, redis.TimeoutError, NoSuchJobError) as error:
                if not told:
                    log.warning("Redis does not answer (%s); waiting", type(error).__name__)
                told = True
                self._stopped.wait(AGAIN)
            except StopRequested:
                break

    def _listen_once(self) -> None:
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGTERM, self._stop)
        queue = RawQueue(self._queue, connection=self._redis, serializer=JSONSerializer)
        # RQ lists a queue when something is first put on it; `rq info` is to show an idle reader, too.
        self._redis.sadd(Queue.redis_queues_keys, queue.key)
        if self._alone:
            self._take_back(queue)
        # A fresh name: RQ refuses one that a killed process still holds.
        name = f"{self._name}-{secrets.token_hex(4)}"
        worker = QueueWorker(
            [queue],
            name,
            connection=self._redis,
            serializer=JSONSerializer,
            worker_ttl=WORKER_TTL,
            log_job_description=False,
        )
        worker.obeyed = {function: types for function, (_, types) in self._handlers.items()}
        worker.handlers = {function: handler for function, (handler, _) in self._handlers.items()}
        worker.on_stop, worker.on_turn = self._stop_soon, self._on_turn
        worker.work(logging_level=None)

    def _take_back(self, queue: Queue) -> None:
        """Put back what a killed reader had taken and not handed over; forget its worker."""
        for key in SimpleWorker.all_keys(queue=queue):
            self._redis.srem("rq:workers", key)
            self._redis.srem(f"rq:workers:{queue.name}", key)
            self._redis.delete(key)
        while self._redis.lmove(queue.intermediate_queue_key, queue.key, "RIGHT", "LEFT") is not None:
            continue

    def _stop_soon(self) -> None:
        self._stopped.set()
        self._on_stop()

    def _stop(self, *_: Any) -> None:
        self._stop_soon()
        raise StopRequested
