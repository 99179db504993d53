"""What must be there before anything starts; each lack is one clear sentence."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from labq.errors import BadInputError, UnavailableError
from labq.lab.engine import look
from labq.lab.plan import Plan

#: Names that say that a directory is a lab's already.
_OURS = {"up.json", "up.lock", "token", "redis", "contexts", "outputs", "log"}


def prepare_data_dir(directory: Path) -> None:
    """Make the data directory, for its owner only.

    Raises:
        BadInputError: it cannot be made, or holds something that is not labq's.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        names = {path.name for path in directory.iterdir()}
    except OSError as error:
        raise BadInputError(
            f"data directory {str(directory)!r}: {error.strerror}", "choose another: labq up --data-dir DIR"
        ) from None
    if names and not names & _OURS:
        raise BadInputError(
            f"data directory {str(directory)!r} holds other things than labq's ({sorted(names)[0]!r})",
            "choose an empty or a new one: labq up --data-dir DIR",
        )
    directory.chmod(0o700)
    for name in ("log", "redis"):
        (directory / name).mkdir(exist_ok=True, mode=0o700)


def check_port(plan: Plan) -> None:
    """Do nothing when the port is free.

    Raises:
        BadInputError: naming the port.
    """
    family = socket.AF_INET6 if ":" in plan.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((plan.host, plan.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                what = f"port {plan.port} on {plan.host} is taken by another program"
                then = f"choose another: labq up --port {plan.port + 1}; `ss -ltnp` shows who has it"
            else:
                what = f"cannot listen on {plan.host} port {plan.port}: {error.strerror}"
                then = "choose another with --host and --port"
            raise BadInputError(what, then) from None


def check_engine() -> None:
    """Do nothing when a Docker engine answers.

    Raises:
        UnavailableError: none does.
    """
    _, error = look()
    if error is not None:
        raise UnavailableError(f"labq runs jobs in containers, but {error.what}", error.next)


def check_programs() -> None:
    """Do nothing when server and agent are installed.

    Raises:
        UnavailableError: naming what to install.
    """
    from importlib.util import find_spec

    wanted = ("labq_scheduler", "labq_worker", "redis", "fastapi", "docker")
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"this installation of labq has no {', '.join(missing)}", "pip install 'labq[all]'"
        )


def runtime_dir() -> str:
    """Return ``XDG_RUNTIME_DIR`` when it can be used."""
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    return named if named and os.access(named, os.W_OK) and len(named) < 50 else ""


def check_private(directory: Path) -> None:
    """Do nothing when nobody else may put files there.

    Raises:
        BadInputError: somebody else made the directory.
    """
    status = directory.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise BadInputError(
            f"{str(directory)!r} is not yours alone",
            "choose a data directory with a shorter path: --data-dir",
        )
