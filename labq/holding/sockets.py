"""Which engines' sockets are asked for containers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from labq.errors import BadInputError

DOCKER, PODMAN = "/var/run/docker.sock", "/run/podman/podman.sock"


def own_socket(docker_host: str) -> str:
    """Return the path of the socket that a Docker client of this process uses.

    Args:
        docker_host: ``DOCKER_HOST`` of this process; what is no unix socket is none of this machine.
    """
    path = docker_host.removeprefix("unix://")
    return path if path.startswith("/") else DOCKER


def engine_sockets(named: Sequence[str], docker_host: str) -> tuple[str, ...]:
    """Return the paths of engines' sockets.

    Args:
        named: those of the setting ``engines``; empty = Docker's and root's Podman.
        docker_host: ``DOCKER_HOST`` of this process; a unix socket there replaces Docker's usual one.

    Raises:
        BadInputError: quoting what is no socket of this machine.
    """
    if not named:
        return (own_socket(docker_host), PODMAN)
    for text in named:
        if not text.removeprefix("unix://").startswith("/"):
            raise BadInputError(
                f"LABQ_ENGINES: {text!r} is no socket of this machine",
                f"write paths such as {DOCKER},{PODMAN}",
            )
    return tuple(text.removeprefix("unix://") for text in named)
