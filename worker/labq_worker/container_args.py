"""A job and its lease -> what the engine is asked for. Pure: everything that must be looked up is an argument."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from labq import wire
from labq.ids import default_seed
from labq.image import image_tag
from labq.job import Job

#: A fork bomb must not take the node; PyTorch with 64 loader workers on a large machine needs about 10,000.
PIDS_LIMIT = 32_768
#: The engine's log is the source for what was written while no agent lived: large enough for days of training,
#: bounded so that it cannot fill the disk. "local", since "json-file" mangles bytes that are not UTF-8;
#: uncompressed, since compressing stalls the container's output.
LOG_DRIVER = "local"
LOG_OPTIONS = {"max-size": "1g", "max-file": "2", "compress": "false"}


@dataclass(frozen=True, slots=True)
class Bind:
    """A directory of the node at a place in the container."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Places:
    """What was made on this node for one attempt."""

    outputs: str
    home: str
    #: "" = no secrets
    secrets: str = ""
    mounts: tuple[Bind, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """What the engine said of itself."""

    node: str
    agent: str
    #: "cgroupfs" or "systemd"
    cgroup_driver: str
    #: cores of the machine: the engine refuses a limit above them
    cpus: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRequest:
    """All that one container is to be. Its repr hides the environment."""

    name: str
    image: str
    command: tuple[str, ...] | None
    #: None = the image's own; () = none
    entrypoint: tuple[str, ...] | None
    workdir: str | None
    user: str
    env: Mapping[str, str] = field(repr=False)
    labels: Mapping[str, str]
    binds: tuple[Bind, ...]
    nano_cpus: int
    #: bytes; also the limit of memory and swap together, so that no job swaps
    memory: int
    #: bytes
    shm: int
    cgroup_parent: str
    #: UUIDs for the NVIDIA runtime; empty = no device request
    device_ids: tuple[str, ...] = ()


def container_request(job: Job, host: Host, places: Places) -> ContainerRequest:
    """Return the container of the job's present attempt."""
    if job.cpus is None or job.memory is None or job.lease is None:
        raise ValueError(f"job {job.id} holds no lease")
    uuids = tuple(hold.uuid for hold in job.gpus)
    binds = [
        Bind(places.outputs, "/outputs", writable=True),
        Bind(places.home, home_of(job.owner), writable=True),
        *places.mounts,
    ]
    if places.secrets:
        binds.append(Bind(places.secrets, "/run/secrets"))
    spec = job.spec
    return ContainerRequest(
        name=container_name(job),
        image=image_tag(job.image_key),
        command=spec.command or None,
        entrypoint=spec.entrypoint,
        workdir=spec.workdir,
        user=f"{job.uid}:{job.gid}",
        env=environment(job, host.node),
        labels=labels(job, host),
        binds=tuple(binds),
        nano_cpus=int(min(job.cpus, host.cpus) * 1e9),
        memory=job.memory,
        shm=spec.shm or job.memory // 2,
        cgroup_parent=cgroup_parent(job.owner, host.cgroup_driver),
        device_ids=() if job.simulated else uuids,
    )


def labels(job: Job, host: Host) -> dict[str, str]:
    """Return the labels by which the agent, the exporter and people find the container."""
    out = {
        wire.LABEL_JOB: job.id,
        wire.LABEL_ATTEMPT: str(job.attempt),
        wire.LABEL_LEASE: job.lease or "",
        wire.LABEL_OWNER: job.owner,
        wire.LABEL_GPUS: ",".join(hold.uuid for hold in job.gpus),
        wire.LABEL_NODE: host.node,
        wire.LABEL_AGENT: host.agent,
    }
    if job.simulated:
        out[wire.LABEL_SIMULATED] = "1"
    return out


def environment(job: Job, node: str) -> dict[str, str]:
    """Return the environment: the owner's first, then labq's own, which nobody overrides."""
    uuids = ",".join(hold.uuid for hold in job.gpus)
    home = home_of(job.owner)
    out = {"HOME": home, "USER": job.owner, "LOGNAME": job.owner}
    out |= job.spec.env
    out |= {f"{name}_FILE": f"/run/secrets/{name}" for name in job.spec.secrets}
    out |= {
        "LABQ_JOB_ID": job.id,
        "LABQ_JOB_NAME": job.spec.name,
        "LABQ_ATTEMPT": str(job.attempt),
        "LABQ_OUTPUT_DIR": "/outputs",
        "LABQ_SEED": str(job.spec.seed or default_seed(job.id)),
        "LABQ_NODE": node,
        "LABQ_GPUS": uuids,
    }
    if job.array is not None:
        out |= {"LABQ_ARRAY_ID": job.array, "LABQ_ARRAY_INDEX": str(job.index)}
    if job.simulated:
        # No runtime would answer to a made-up UUID: the job is told, and told that it is not real.
        out |= {"NVIDIA_VISIBLE_DEVICES": uuids, "LABQ_GPUS_SIMULATED": "1"}
    elif not uuids:
        # CUDA images say "all" by themselves; where NVIDIA's runtime is the default, that would be all GPUs.
        out["NVIDIA_VISIBLE_DEVICES"] = "void"
    return out


def home_of(owner: str) -> str:
    """Return the home directory in the container."""
    return f"/home/{_plain(owner)}"


def container_name(job: Job) -> str:
    """Return the name that people see in ``docker ps``."""
    return f"labq-{_plain(job.owner)}-{job.id}-{job.attempt}"


def cgroup_parent(owner: str, driver: str) -> str:
    """Return the cgroup under which all containers of one person are, so that they can be limited together."""
    if driver == "systemd":
        # A hyphen in a slice's name means a level of its own.
        return f"labq-{_plain(owner).replace('-', '_').replace('.', '_')}.slice"
    return f"/labq/{_plain(owner)}"


def _plain(text: str) -> str:
    """Return ``text`` in the letters that container names, paths and cgroups allow."""
    kept = re.sub(r"[^A-Za-z0-9_.-]", "_", text).strip(".-")
    return kept or "user"
