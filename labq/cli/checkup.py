"""What `labq doctor` looks at: configuration, server, clock, token, the server's own findings, the engine here."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from labq.client import Client
from labq.client.config import config_file
from labq.clock import now
from labq.errors import LabqError
from labq.lab.engine import DOCKER_SOCKET, look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Seconds by which the clocks may differ before times in listings mislead.
_SKEW = 5.0


def findings(server: str | None) -> Iterator[dict[str, Any]]:
    """Yield findings ``{"name", "ok", "what", "next"}``, the client's first."""
    yield _config()
    try:
        client = Client(server)
    except LabqError as error:
        yield _finding("settings", False, error.what, error.next)
        return
    yield from _server(client)
    if os.environ.get("DOCKER_HOST") or os.path.exists(DOCKER_SOCKET):
        version, missing = look()
        what, then = (version, "") if missing is None else (missing.what, missing.next)
        yield _finding("engine", missing is None, what, then)


def _finding(name: str, ok: bool, what: str, next: str = "") -> dict[str, Any]:  # noqa: A002
    return {"name": name, "ok": ok, "what": what, "next": next}


def _config() -> dict[str, Any]:
    path = config_file()
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return _finding("configuration", True, f"{path} does not exist; environment and defaults count")
    except OSError as error:
        return _finding(
            "configuration", False, f"{path}: {error.strerror}", "make it readable, or set LABQ_CONFIG"
        )
    if mode & 0o077:
        return _finding(
            "configuration",
            False,
            f"{path} has mode {mode:o}: others may read your token",
            f"chmod 600 {path}",
        )
    try:
        from pathlib import Path

        from labq.settings import read_config

        read_config(Path(path))
    except LabqError as error:
        return _finding("configuration", False, error.what, error.next)
    return _finding("configuration", True, f"{path}, readable by you only")


def _server(client: Client) -> Iterator[dict[str, Any]]:
    url = client.session.address.url
    try:
        answer = client.session.send("GET", "/readyz", accept=(503,), timeout=10)
    except LabqError as error:
        yield _finding("server", False, error.what, error.next)
        return
    if answer.status != 200:
        yield _finding(
            "server", False, f"{url} answers, but is not ready: {answer.read()[:200].decode(errors='replace')}",
            "wait a moment; if it stays so, look at the server's log and at Redis",
        )  # fmt: skip
    else:
        yield _finding("server", True, f"{url} is ready")
    yield from _clock(answer.headers.get("date"))
    try:
        me = client.me()
    except LabqError as error:
        yield _finding("token", False, error.what, error.next)
        return
    role = ", admin" if me.get("admin") else ""
    yield _finding("token", True, f"you are {me['name']} (uid {me['uid']}, gid {me['gid']}{role})")
    try:
        yield from client.doctor()
    except LabqError as error:
        yield _finding("server's findings", False, error.what, error.next)


def _clock(date: str | None) -> Iterator[dict[str, Any]]:
    from email.utils import parsedate_to_datetime

    if not date:
        return
    skew = now() - parsedate_to_datetime(date).timestamp() - 0.5  # Date has whole seconds
    text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's"
    if abs(skew) > _SKEW:
        yield _finding(
            "clock", False, f"this machine's clock is {text}", "turn on NTP here: timedatectl set-ntp true"
        )
    else:
        yield _finding("clock", True, f"within {_SKEW:.0f} s of the server's")
