"""Settings -> ``AgentConfig``. Pure: reads texts, no files and no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labq.errors import BadInputError
from labq.holding.seal import KEY_PATH
from labq.holding.sockets import DOCKER, PODMAN, engine_sockets, own_socket
from labq.node import check_node_name
from labq.settings import Settings
from labq.spec_values import cpus as parse_cpus
from labq.units import parse_bytes
from labq_worker.sim_gpus import PREFIX

#: A host name, IPv4, or IPv6 with or without brackets.
_ADDRESS = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*"
)
_LABEL = re.compile(r"^[A-Za-z][\w.-]{0,62}=[\w./-]{1,63}$")


@dataclass(frozen=True, slots=True)
class AllowedMount:
    """A directory of the node that jobs may mount, with all that is in it."""

    path: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """What one agent was told. Its repr shows no secret."""

    name: str
    data_dir: Path
    redis_url: str = field(repr=False)
    server: str
    node_token: str = field(default="", repr=False)
    #: where Prometheus finds this node; "" = where it speaks to the server from
    address: str = ""
    #: the server reads our data directory: nothing is shipped
    shared_files: bool = False
    #: "auto", "none" or "sim:…"
    gpus: str = "auto"
    #: None = all cores of the machine
    cpus: float | None = None
    #: bytes; None = all but a reserve for the system
    memory: int | None = None
    #: bytes; None = what is free, less a reserve
    disk: int | None = None
    #: seconds between two looks at the disk
    disk_interval: float = 30.0
    labels: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[AllowedMount, ...] = ()
    builds: int = 2
    starts: int = 4
    #: where agent and exporter leave each other notes
    run_dir: Path = Path("/run/labq")
    #: None = nothing is written for dcgm-exporter, or for jobstats
    dcgm_jobs_dir: Path | None = None
    jobstats_dir: Path | None = None
    #: sockets of container engines whose containers may use GPUs; the engine that runs the jobs is always among them
    engines: tuple[str, ...] = (DOCKER, PODMAN)
    stamp_key: Path = KEY_PATH


def read_config(settings: Settings, hostname: str, docker_host: str = "") -> AgentConfig:
    """Return the configuration that the settings say.

    Args:
        settings: the settings in force.
        hostname: the node's name when no other is set.
        docker_host: ``DOCKER_HOST`` of this process.

    Raises:
        BadInputError: naming the setting and what is legal.
    """
    name = check_node_name(settings.text("node") or hostname.partition(".")[0])
    redis_url = settings.text("redis_url")
    if not redis_url:
        raise BadInputError(
            "no Redis is named",
            "set LABQ_REDIS_URL=redis://SERVER:6379/0 (labq up sets it for its own agent)",
        )
    gpus = settings.text("gpus")
    if gpus not in {"auto", "none"} and not gpus.startswith(PREFIX):
        raise BadInputError(f"GPUs {gpus!r} are not legal", "write auto, none, or sim:2xRTX-4090-24GB")
    cpus, memory = settings.text("node_cpus"), settings.text("node_memory")
    disk = settings.text("node_disk")
    return AgentConfig(
        name=name,
        data_dir=settings.path("data_dir"),
        redis_url=redis_url,
        server=settings.text("server"),
        node_token=settings.text("node_token"),
        address=_address(settings.text("node_address")),
        shared_files=bool(settings.number("shared_files")),
        gpus=gpus,
        cpus=parse_cpus(cpus) if cpus else None,
        memory=parse_bytes(memory, "memory of the node") if memory else None,
        disk=parse_bytes(disk, "disk of the node") if disk else None,
        disk_interval=settings.seconds("node_disk_interval") or 30.0,
        labels=parse_labels(settings.items("node_labels")),
        mounts=parse_allowed(settings.items("mounts")),
        builds=max(1, settings.number("builds")),
        starts=max(1, settings.number("starts")),
        run_dir=settings.path("run_dir"),
        dcgm_jobs_dir=settings.path("dcgm_jobs_dir") if settings.text("dcgm_jobs_dir") else None,
        jobstats_dir=settings.path("jobstats_dir") if settings.text("jobstats_dir") else None,
        engines=tuple(
            dict.fromkeys((own_socket(docker_host), *engine_sockets(settings.items("engines"), docker_host)))
        ),
        stamp_key=settings.path("stamp_key"),
    )


def _address(said: str) -> str:
    if said and not _ADDRESS.fullmatch(said):
        raise BadInputError(
            f"LABQ_NODE_ADDRESS={said!r} is not legal", "write a name or an address without a port: 10.0.0.5"
        )
    return said


def parse_labels(items: list[str]) -> dict[str, str]:
    """Return the labels of texts ``rack=a``."""
    for item in items:
        if not _LABEL.match(item):
            raise BadInputError(
                f"node label {item!r} is not legal", "write key=value, such as rack=a,group=vision"
            )
    return {key: value for key, _, value in (item.partition("=") for item in items)}


def parse_allowed(items: list[str]) -> tuple[AllowedMount, ...]:
    """Return the allow-list of texts ``/data:ro`` or ``/scratch:rw``; without a mode it is read-only."""
    found = []
    for item in items:
        path, _, mode = item.partition(":")
        if not path.startswith("/") or ".." in path.split("/") or mode not in {"", "ro", "rw"}:
            raise BadInputError(f"mount {item!r} is not legal", "write /data:ro,/scratch:rw (LABQ_MOUNTS)")
        found.append(AllowedMount(path.rstrip("/") or "/", mode == "rw"))
    return tuple(found)
