"""Is there a Docker engine on this machine?"""

from __future__ import annotations

import json
import os

from labq.client.address import Address
from labq.client.connection import Connection
from labq.errors import LabqError, UnavailableError

DOCKER_SOCKET = "/var/run/docker.sock"


def look() -> tuple[str, UnavailableError | None]:
    """Return the engine's version and address for people; else why there is none, and what to do."""
    host = os.environ.get("DOCKER_HOST") or f"unix://{DOCKER_SOCKET}"
    try:
        wire = Connection(Address(host.replace("tcp://", "http://", 1)), 5.0)
        try:
            version = json.loads(wire.request("GET", "/version", {}, timeout=10).read())["Version"]
        finally:
            wire.close()
    except (OSError, LabqError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return "", UnavailableError(
            f"no Docker engine answers at {host} ({reason})",
            "start it: sudo systemctl start docker; and be in the group docker: sudo usermod -aG docker $USER",
        )
    return f"Docker {version} at {host}", None
