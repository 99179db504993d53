"""Which containers the engines of this machine have. The only importer of docker beside the agent's own engine.

For each engine two threads: one follows its events and inspects what is new; one lists everything at the start, every
minute, and whenever the stream of events broke off, because what happened meanwhile is in no stream. An engine that
hangs or is away keeps its own threads waiting and nobody else: what was known of it stays known.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions

from labq.clock import monotonic
from labq.holding.facts import ContainerFacts
from labq.holding.register import Register

log = logging.getLogger(__name__)
#: Seconds between two lists.
EVERY = 60.0
#: Seconds for which a first look waits for the first lists.
FIRST = 2.0
#: Seconds for one answer; a list takes milliseconds.
TIMEOUT = 10
#: Seconds between two attempts to reach an engine: the first, and the most.
RETRY, RETRY_MOST = 0.5, 15.0
#: Images whose user and labels are kept.
IMAGES = 512
#: Letters of an id that people and tools cut it to.
SHORT_ID = 12
_EVENTS = ["create", "start", "rename", "destroy", "remove"]
_FAILURES = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,
    # An answer that is JSON of another form, or nested without end: a rootless engine answers what its user likes.
    AttributeError,
    LookupError,
    TypeError,
    RecursionError,
)


class Containers:
    """What the engines say, kept current. Every method but ``start`` and ``stop`` answers at once."""

    def __init__(self, engines: Sequence[str], *, every: float = EVERY, timeout: int = TIMEOUT) -> None:
        """Take the paths of the engines' sockets; one that does not exist is looked for again and again.

        Args:
            engines: Docker's, or podman's in its compatible form. Two paths to one socket count as one.
            every: seconds between two lists.
            timeout: seconds for one answer.
        """
        paths = dict.fromkeys(os.path.realpath(path.removeprefix("unix://")) for path in engines)
        self._stop = threading.Event()
        self._engines = [_Engine(path, every, timeout, self._stop) for path in paths]

    def start(self) -> None:
        """Begin to ask; the first answers come some milliseconds later."""
        for engine in self._engines:
            engine.start()

    def stop(self) -> None:
        """Stop asking; a thread that waits for an engine that hangs is left to its timeout."""
        self._stop.set()
        for engine in self._engines:
            engine.stop()

    def known(self) -> Mapping[str, ContainerFacts]:
        """Return all containers by id, also those that ended in the last minutes."""
        merged: dict[str, ContainerFacts] = {}
        # Root's engines last: a user's own engine must not speak of root's containers.
        for engine in sorted(self._engines, key=lambda each: -each.uid):
            merged.update(engine.register.known())
        return merged

    def wait_listed(self, stop: threading.Event) -> None:
        """Wait for the engines' first lists, ``FIRST`` seconds at most: without them a container's holder has no name."""
        give_up = monotonic() + FIRST
        while self.last_success is None and monotonic() < give_up and not stop.is_set():
            stop.wait(0.05)

    @property
    def last_success(self) -> float | None:
        """Return when the engine that is worst off last gave a list, monotonic seconds; None = it never did.

        An engine that never was here is none; a machine without any is well.
        """
        oldest = monotonic()
        for engine in self._engines:
            if engine.expected:
                if engine.heard is None:
                    return None
                oldest = min(oldest, engine.heard)
        return oldest


class _Engine:
    """One engine and its two threads."""

    def __init__(self, path: str, every: float, timeout: int, stop: threading.Event) -> None:
        self._path, self._every, self._timeout, self._stop = path, every, timeout, stop
        self.uid = 0
        self.register = Register()
        #: monotonic seconds of the last list; None = it never gave one
        self.heard: float | None = None
        self._list_now = threading.Event()
        self._images: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._stream: Any = None
        self._threads = [
            threading.Thread(target=self._keep, args=(work,), name=f"engine-{name}", daemon=True)
            for name, work in (("list", self._list), ("events", self._follow))
        ]

    @property
    def expected(self) -> bool:
        """Return whether it is here, or was."""
        return self.heard is not None or os.path.exists(self._path)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._list_now.set()
        stream = self._stream
        if stream is not None:
            # It may have ended by itself, and then it has no socket left to close.
            with suppress(*_FAILURES):
                stream.close()
        for thread in self._threads:
            thread.join(timeout=1)

    def _keep(self, work: Callable[[Any], None]) -> None:
        """Work until told to stop, whatever the engine does."""
        delay, complained = RETRY, False
        while not self._stop.is_set():
            try:
                with self._client() as api:
                    work(api)
                delay, complained = RETRY, False
            except FileNotFoundError:
                delay = RETRY_MOST if self.heard is None else RETRY
            except _FAILURES as error:
                if not complained:
                    log.warning("the engine at %s does not answer: %s", self._path, error)
                complained = True
                delay = min(2 * delay, RETRY_MOST)
            self._stop.wait(delay)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """Connect. Asked by hand first: docker-py leaks its socket when nobody listens."""
        uid = os.stat(self._path).st_uid
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(self._timeout)
            line.connect(self._path)
            line.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            line.recv(1)
        if uid != self.uid:
            self.uid, self.register = uid, Register(uid)
        api: Any = docker.APIClient(base_url=f"unix://{self._path}", version="auto", timeout=self._timeout)
        try:
            yield api
        finally:
            api.close()

    def _list(self, api: Any) -> None:
        while not self._stop.is_set():
            self._list_now.clear()
            asked = monotonic()
            items = api.containers(all=True)
            for key in self.register.listed(items, asked, monotonic()):
                self._inspect(api, key)
            self.heard = monotonic()
            self._list_now.wait(self._every)

    def _follow(self, api: Any) -> None:
        """Take events until the stream ends, as it does, cleanly, when the engine restarts."""
        stream = api.events(decode=True, filters={"type": "container", "event": _EVENTS})
        self._stream = stream
        # Only now: what happens from here on is in the stream, what happened before is in the list.
        self._list_now.set()
        try:
            for event in stream:
                self._take(api, event)
                if self._stop.is_set():
                    return
        finally:
            self._stream = None
            stream.close()

    def _take(self, api: Any, event: Mapping[str, Any]) -> None:
        actor = event.get("Actor") or {}
        key, action = (
            str(actor.get("ID") or event.get("id") or ""),
            event.get("Action") or event.get("status"),
        )
        if action == "rename":
            self.register.renamed(key, str((actor.get("Attributes") or {}).get("name", "")))
        elif action in {"destroy", "remove"}:
            self.register.removed(key, monotonic())
        elif action == "create" or not self.register.started(key, monotonic()):
            self._inspect(api, key)

    def _inspect(self, api: Any, key: str) -> None:
        try:
            answer = api.inspect_container(key)
            image = self._image(api, str(answer.get("Image") or ""))
        except docker.errors.NotFound:
            return  # it has gone; the next event or list says so
        except docker.errors.APIError as error:
            # One broken container is no reason not to know the others.
            log.warning("the engine at %s cannot inspect container %s: %s", self._path, key[:SHORT_ID], error)
            self.register.refused(key)
            return
        self.register.inspected(answer, image, monotonic())

    def _image(self, api: Any, image: str) -> Mapping[str, Any] | None:
        """Return who an image runs as and its labels; None when the engine has it no more."""
        known = self._images.get(image)
        if known is None:
            try:
                config = api.inspect_image(image).get("Config") or {}
            except docker.errors.NotFound:
                return None
            known = {"Config": {"User": config.get("User"), "Labels": config.get("Labels")}}
            self._images[image] = known
            if len(self._images) > IMAGES:
                self._images.popitem(last=False)
        return known
