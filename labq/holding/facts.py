"""What is known of processes, containers and leases; and who was named, by which rule. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

#: The user of what nobody can be named for.
UNKNOWN = "unknown"


class Source(StrEnum):
    """The rule that named a person, strongest first. Published as the label ``source``."""

    #: labq started the container, and the lease on its labels exists
    QUEUE = "queue"
    #: stamped on the container by labq's docker.sock proxy, with a valid seal
    PROXY = "proxy"
    #: the container's owner label, which whoever started it wrote
    LABEL = "label"
    #: owner of the compose project's or dev container's directory
    WORKDIR = "workdir"
    #: owner of the one home directory that is mounted into the container whole and writable
    MOUNT = "mount"
    #: uid of the process
    UID = "uid"
    #: audit uid of the login that it came from (survives sudo and su)
    LOGINUID = "loginuid"
    #: systemd slice of the user it runs under
    USERSLICE = "userslice"
    #: the uid lies in a person's range of subordinate uids (rootless containers, userns-remap)
    SUBUID = "subuid"
    #: owner of the one home that something is mounted from, which may be a colleague's data set
    DATA = "data"
    #: the driver still lists the process, but it has gone from /proc
    GONE = "gone"
    #: nothing of the above
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CgroupFacts:
    """What the cgroups of a process say."""

    #: 64-digit container ids on its paths, innermost first
    containers: tuple[str, ...] = ()
    #: from ``user-<uid>.slice``
    slice_uid: int | None = None
    #: ``libpod`` when the innermost id was podman's, ``docker``, ``cri-containerd``…; "" = cgroupfs says no more
    runtime: str = ""
    #: uid of ``user@<uid>.service`` when the ids lie in the subtree that this user may shape at will: they are then his
    #: claim (he can make a cgroup of any name); None = they do not, only root's engines write there
    delegated: int | None = None


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What /proc says of one process. (pid, start) names it for ever; a pid alone is used again."""

    pid: int
    #: clock ticks after boot
    start: int
    #: seconds since the epoch
    started_at: float
    #: real uid, in the host's user namespace
    uid: int
    #: None = unset (4294967295), or this kernel has none
    loginuid: int | None = None
    cgroup: CgroupFacts = field(default_factory=CgroupFacts)


@dataclass(frozen=True, slots=True, order=True)
class Mount:
    """A path on the host that is bind-mounted into a container."""

    path: str
    #: False = read-only, or the engine does not say
    writable: bool = False


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """What an engine says of one container; it never changes but for the name."""

    id: str
    name: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    #: seconds since the epoch
    created: float = 0.0
    #: uid that whoever started it asked for by number (``docker run -u 1001``); None = none, or the image's own
    asked_uid: int | None = None
    #: who owns the socket of the engine that says so: 0 = root's; a rootless engine answers what its user likes
    engine_uid: int = 0


@dataclass(frozen=True, slots=True)
class LeaseFacts:
    """A lease of the queue on this node: the permission for a container to exist and to hold GPUs."""

    token: str
    job: str
    attempt: int
    owner: str
    #: GPU uuid -> bytes of a shared GPU; 0 = the whole GPU
    gpus: Mapping[str, int] = field(default_factory=dict)
    #: seconds since the epoch
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a process is charged to, and why."""

    user: str = UNKNOWN
    source: Source = Source.NONE
    #: id and name of the container; "" = none
    container_id: str = ""
    container: str = ""
    image: str = ""
    #: job of the queue; "" = outside the queue
    job: str = ""
    #: one sentence when the container claims what is not true; "" = it does not
    disputed: str = ""
