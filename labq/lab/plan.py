"""What `labq up` was asked for, as values; and the environment of its children. Pure, but for the host's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labq.errors import BadInputError
from labq.settings import Settings

#: The longest path of a unix socket that the kernel takes is 107 bytes.
_LONGEST_SOCKET = 100
#: Addresses that mean "all of this machine".
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs, and where."""

    data_dir: Path
    host: str
    port: int
    node: str
    #: "auto", "none" or "sim:…"
    gpus: str
    #: "" = an embedded Redis in the data directory
    redis_url: str
    mounts: str = ""
    labels: str = ""
    #: whether labq-notifier runs, too
    notify: bool = False

    @property
    def server(self) -> str:
        """Return the address under which this machine reaches the server."""
        host = _ANY.get(self.host, f"[{self.host}]" if ":" in self.host else self.host)
        return f"http://{host}:{self.port}"

    @property
    def log_dir(self) -> Path:
        """Return where the children's logs are."""
        return self.data_dir / "log"


def make_plan(settings: Settings, hostname: str) -> Plan:
    """Return the plan of the settings in force.

    Raises:
        BadInputError: naming what is not legal.
    """
    port = settings.number("port")
    if not 0 < port < 65536:
        raise BadInputError(
            f"port {port} does not exist", "write a port from 1 to 65535: labq up --port 7580"
        )
    gpus = settings.text("gpus") or "auto"
    if gpus not in {"auto", "none"} and not gpus.startswith("sim:"):
        raise BadInputError(
            f"--gpus {gpus!r} is not legal",
            "write auto, none, or simulated ones by name: sim:2xRTX-4090-24GB",
        )
    told = settings.text("notify")
    if told not in {"on", "off", "auto"}:
        raise BadInputError(f"LABQ_NOTIFY {told!r} is not legal", "write on, off or auto")
    channels = bool(settings.text("slack_bot_token") or settings.text("smtp_host"))
    return Plan(
        data_dir=settings.path("data_dir"),
        host=settings.text("host"),
        port=port,
        node=settings.text("node") or hostname.partition(".")[0] or "local",
        gpus=gpus,
        redis_url=settings.text("redis_url"),
        mounts=settings.text("mounts"),
        labels=settings.text("node_labels"),
        notify=told == "on" or (told == "auto" and channels),
    )


def child_environment(
    plan: Plan, redis_url: str, node_token: str, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of server and agent: what was inherited, and the plan on top."""
    env = dict(inherited)
    env.pop("LABQ_TOKEN", None)
    return env | {
        "LABQ_DATA_DIR": str(plan.data_dir),
        "LABQ_REDIS_URL": redis_url,
        "LABQ_SHARED_FILES": "1",
        "LABQ_SERVER": plan.server,
        "LABQ_NODE_TOKEN": node_token,
        "LABQ_GPUS": plan.gpus,
        "LABQ_NODE": plan.node,
        "LABQ_HOST": plan.host,
        "LABQ_PORT": str(plan.port),
        "LABQ_MOUNTS": plan.mounts,
        "LABQ_NODE_LABELS": plan.labels,
        "PYTHONUNBUFFERED": "1",
    }


def socket_path(data_dir: Path, runtime_dir: str, uid: int) -> Path:
    """Return the path of Redis' socket: in the data directory unless that is too long for a socket.

    Args:
        data_dir: the lab's directory.
        runtime_dir: ``XDG_RUNTIME_DIR``; "" = not set.
        uid: of this process.
    """
    import hashlib

    inside = data_dir / "redis" / "redis.sock"
    if len(str(inside).encode()) <= _LONGEST_SOCKET:
        return inside
    short = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
    base = Path(runtime_dir) if runtime_dir else Path("/tmp") / f"labq-{uid}"  # noqa: S108 - made with mode 0700
    return base / f"labq-redis-{short}.sock"
