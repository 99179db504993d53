"""The Docker engine. The only importer of docker.

Calls are single requests of the low-level client; each failure becomes one of engine_errors.py with the
engine's own words. Threads share one client: its connections are kept alive and reused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import IO, Any, ParamSpec, TypeVar

import docker
import docker.errors
import docker.types
import docker.utils
import requests.exceptions
import urllib3.exceptions

from labq_worker.container_args import LOG_DRIVER, LOG_OPTIONS, PIDS_LIMIT, ContainerRequest
from labq_worker.engine_errors import (
    EngineAwayError,
    EngineError,
    NameTakenError,
    NoSuchContainerError,
    NoSuchImageError,
)

P = ParamSpec("P")
R = TypeVar("R")
#: Seconds for one answer. Starting and removing take long on a loaded machine; streams have no limit.
TIMEOUT = 120
#: One for each thread that may talk at the same time; more than that opens and closes.
CONNECTIONS = 64
CHUNK = 65536


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What the engine says of itself."""

    version: str
    cgroup_driver: str
    cgroup_version: str
    cpus: int
    memory: int
    system: str
    #: directory of its files on its machine
    root: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A container, as inspected or listed."""

    id: str
    labels: Mapping[str, str]
    #: "created", "running", "paused", "exited", "dead", "removing"
    status: str
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    image_id: str = ""
    #: seconds since the epoch; None = has not
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def over(self) -> bool:
        """Return whether it ran and runs no more."""
        return self.status in {"exited", "dead", "removing"}


def _engine(method: Callable[P, R]) -> Callable[P, R]:
    """Turn the libraries' failures into engine_errors.py."""

    @wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except docker.errors.APIError as error:
            raise _known(error) from None
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EngineAwayError(str(error)) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise EngineAwayError(str(error)) from None

    return wrapper


def _known(error: docker.errors.APIError) -> EngineError:
    words = str(error.explanation or error)
    status = error.response.status_code if error.response is not None else 0
    if status == 404 and "no such image" in words.lower():
        return NoSuchImageError(words)
    if status == 404 and "no such container" in words.lower():
        return NoSuchContainerError(words)
    if status == 409 and "is already in use" in words:
        return NameTakenError(words)
    if status == 409 and ("is being removed" in words or "removal of container" in words):
        return NoSuchContainerError(words)
    return EngineError(words)


class Stream:
    """A container's live output as the engine multiplexes it (demux.py takes it apart)."""

    def __init__(self, raw: Any) -> None:
        """Take over the socket of a hijacked response."""
        self._raw = raw
        self._socket = getattr(raw, "_sock", raw)
        self._socket.settimeout(None)

    def read(self) -> bytes:
        """Return what has come, waiting for the first byte; ``b""`` = the stream has ended."""
        try:
            return bytes(self._socket.recv(CHUNK))
        except OSError:
            return b""

    def close(self) -> None:
        """Close it; a reader in another thread sees the end."""
        response = getattr(self._raw, "_response", None)
        (self._raw if response is None else response).close()


class Engine:
    """One Docker engine: that of ``DOCKER_HOST``, or the usual socket."""

    @_engine
    def __init__(self) -> None:
        """Connect and agree on a version of the API.

        Raises:
            EngineAwayError: no engine answers.
        """
        where = docker.utils.kwargs_from_env()
        self._api: Any = docker.APIClient(**where, version="auto", timeout=TIMEOUT, max_pool_size=CONNECTIONS)

    @_engine
    def info(self) -> EngineInfo:
        """Return what the engine says of itself."""
        body = self._api.info()
        return EngineInfo(
            version=str(body.get("ServerVersion", "")),
            cgroup_driver=str(body.get("CgroupDriver", "cgroupfs")),
            cgroup_version=str(body.get("CgroupVersion", "1")),
            cpus=int(body.get("NCPU", 1)),
            memory=int(body.get("MemTotal", 0)),
            system=str(body.get("OperatingSystem", "")),
            root=str(body.get("DockerRootDir", "")),
        )

    @_engine
    def create(self, request: ContainerRequest, name: str) -> str:
        """Create a container and return its id.

        Raises:
            NoSuchImageError: the image is not here.
            NameTakenError: another container has this name.
            EngineError: the engine refuses the request.
        """
        gpus = [
            docker.types.DeviceRequest(
                driver="nvidia",
                device_ids=list(request.device_ids),
                capabilities=[["gpu", "utility", "compute"]],
            )
        ]
        host = self._api.create_host_config(
            binds=[f"{b.source}:{b.target}:{'rw' if b.writable else 'ro'}" for b in request.binds],
            init=True,
            security_opt=["no-new-privileges"],
            nano_cpus=request.nano_cpus,
            mem_limit=request.memory,
            memswap_limit=request.memory,
            shm_size=request.shm,
            pids_limit=PIDS_LIMIT,
            cgroup_parent=request.cgroup_parent,
            device_requests=gpus if request.device_ids else None,
            log_config=docker.types.LogConfig(type=LOG_DRIVER, config=dict(LOG_OPTIONS)),
        )
        made = self._api.create_container(
            image=request.image,
            command=None if request.command is None else list(request.command),
            entrypoint=None if request.entrypoint is None else list(request.entrypoint),
            working_dir=request.workdir,
            user=request.user,
            environment=dict(request.env),
            labels=dict(request.labels),
            host_config=host,
            name=name,
        )
        return str(made["Id"])

    @_engine
    def attach(self, container: str) -> Stream:
        """Return the live output from now on; opened before the start, it misses nothing."""
        wanted = {"stdout": 1, "stderr": 1, "stream": 1, "logs": 0}
        return Stream(self._api.attach_socket(container, params=wanted))

    @_engine
    def start(self, container: str) -> None:
        """Start a created container."""
        self._api.start(container)

    @_engine
    def inspect(self, container: str) -> Seen:
        """Return the container as it is now.

        Raises:
            NoSuchContainerError: it is gone.
        """
        body = self._api.inspect_container(container)
        state = body["State"]
        return Seen(
            id=str(body["Id"]),
            labels=body["Config"].get("Labels") or {},
            status=str(state["Status"]),
            pid=int(state.get("Pid") or 0),
            exit_code=int(state.get("ExitCode") or 0),
            oom_killed=bool(state.get("OOMKilled")),
            error=str(state.get("Error") or ""),
            image_id=str(body.get("Image") or ""),
            started_at=engine_time(state.get("StartedAt", "")),
            finished_at=engine_time(state.get("FinishedAt", "")),
        )

    @_engine
    def written(self, container: str) -> int:
        """Return the bytes that a container wrote in its own file system. The engine walks all of it.

        Raises:
            EngineError: there is no such container, or the engine does not answer.
        """
        response = self._api._get(self._api._url("/containers/{0}/json", container), params={"size": 1})
        return int(self._api._result(response, json=True).get("SizeRw") or 0)

    @_engine
    def wait(self, container: str, seconds: float) -> None:
        """Return when the container has ended, or after some seconds."""
        try:
            self._api.wait(container, timeout=seconds)
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout):
            # A read that takes too long is a ConnectionError here, and so is an engine that is away: look again.
            return

    @_engine
    def ran_out_of_memory(self, container: str, since: float, until: float) -> bool:
        """Return whether the engine has told of a container that the kernel killed some of it for memory.

        The state says so only when the engine heard it before the end: of a short container on a busy machine it often
        hears it afterwards, and then there is only the event.

        Args:
            container: id.
            since: seconds since the epoch.
            until: likewise; the answer comes then.
        """
        told = self._api.events(
            since=int(since),
            until=int(until) + 1,
            decode=True,
            filters={"container": container, "event": "oom"},
        )
        return any(True for _ in told)

    @_engine
    def signal(self, container: str, name: str) -> bool:
        """Send a signal to the container's first process; return False when it does not run any more."""
        try:
            self._api.kill(container, signal=name)
        except docker.errors.APIError as error:
            if error.response is not None and error.response.status_code in {404, 409}:
                return False
            raise
        return True

    @_engine
    def remove(self, container: str) -> None:
        """Remove the container, running or not, with its anonymous volumes; gone already is well."""
        try:
            self._api.remove_container(container, v=True, force=True)
        except docker.errors.APIError as error:
            if error.response is None or error.response.status_code not in {404, 409}:
                raise

    @_engine
    def find(self, labels: Mapping[str, str]) -> list[Seen]:
        """Return all containers that have these labels, running or not."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        found = self._api.containers(all=True, filters={"label": wanted})
        return [Seen(str(c["Id"]), c.get("Labels") or {}, str(c["State"])) for c in found]

    @_engine
    def log(self, container: str, *, follow: bool) -> Iterator[bytes]:
        """Return the engine's own record of the output, multiplexed, each message with its time."""
        # docker-py's logs() drops which stream a message belongs to.
        url = self._api._url("/containers/{0}/logs", container)
        params = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow), "tail": "all"}
        response = self._api._get(url, params=params, stream=True)
        self._api._raise_for_status(response)
        if follow:
            raw = self._api._get_raw_response_socket(response)
            self._api._disable_socket_timeout(raw)
        return _chunks(response)

    @_engine
    def image_id(self, name: str) -> str | None:
        """Return the id of an image on this node; None when it is not here."""
        try:
            return str(self._api.inspect_image(name)["Id"])
        except docker.errors.ImageNotFound:
            return None

    def pull(self, reference: str) -> Iterator[Mapping[str, Any]]:
        """Pull an image without credentials; yield what the engine says meanwhile."""
        name, tag = docker.utils.parse_repository_tag(reference)
        return self._streamed(
            lambda: self._api.pull(name, tag=tag or "latest", stream=True, decode=True, auth_config={})
        )

    def build(
        self, context: IO[bytes], dockerfile: str, tag: str, arguments: Mapping[str, str]
    ) -> Iterator[Mapping[str, Any]]:
        """Build the image of a context (a tar, read as it is sent); yield what the engine says meanwhile."""
        return self._streamed(
            lambda: self._api.build(
                fileobj=context,
                custom_context=True,
                dockerfile=dockerfile,
                tag=tag,
                buildargs=dict(arguments),
                rm=True,
                forcerm=True,
                decode=True,
            )
        )

    def _streamed(self, call: Callable[[], Iterable[Mapping[str, Any]]]) -> Iterator[Mapping[str, Any]]:
        try:
            yield from call()
        except docker.errors.APIError as error:
            raise _known(error) from None
        except json.JSONDecodeError as error:
            raise EngineAwayError(f"the engine's answer broke off: {error}") from None
        except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
            raise EngineAwayError(str(error)) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise EngineAwayError(str(error)) from None


def _chunks(response: Any) -> Iterator[bytes]:
    try:
        yield from response.raw.stream(CHUNK)
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise EngineAwayError(f"the stream broke off: {error}") from None
    finally:
        response.close()


def engine_time(text: str) -> float | None:
    """Return the seconds since the epoch of the engine's RFC 3339 text; None for its zero time."""
    if not text or text.startswith("0001-"):
        return None
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
