"""What this machine is: memory, operating system, name. Reads files of the system."""

from __future__ import annotations

import platform
import socket
from pathlib import Path
from urllib.parse import urlsplit

#: Left to the system: 10 %, at most 1 GB.
RESERVE, RESERVE_PART = 2**30, 10


def hostname() -> str:
    """Return the machine's name."""
    return socket.gethostname()


def address_towards(server: str) -> str:
    """Return the address of this machine that a server sees, such as ``10.0.0.5``; "" when there is none.

    Nothing is sent: the kernel chooses the way of a datagram when it is addressed.

    Args:
        server: URL of the server.
    """
    try:
        parts = urlsplit(server)
        if not parts.hostname:
            return ""
        family, kind, _, _, where = socket.getaddrinfo(
            parts.hostname, parts.port or 80, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind) as line:
            line.connect(where)
            return str(line.getsockname()[0])
    except (OSError, ValueError, UnicodeError):
        return ""


def usable_memory(total: int) -> int:
    """Return the bytes of ``total`` that jobs may use when no setting says so."""
    return total - min(RESERVE, total // RESERVE_PART)


def operating_system() -> str:
    """Return its name for people, such as ``Debian GNU/Linux 12 (bookworm), Linux 6.1``."""
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        name = "Linux"
    return f"{name}, Linux {platform.release()}"


def agent_id(data_dir: Path, fresh: str) -> str:
    """Return the id of this data directory's agent; ``fresh`` is written when there is none yet."""
    path = data_dir / "agent-id"
    try:
        kept = path.read_text().strip()
    except FileNotFoundError:
        kept = ""
    if kept:
        return kept
    path.write_text(fresh + "\n")
    return fresh
