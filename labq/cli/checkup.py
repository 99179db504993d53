"""What `labq doctor` looks at: configuration, server, clock, token, the server's own findings, the engine here."""

from __future__ import annotations

import json
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
_SKEW = 2.0


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
        client.session.send(
            "GET", "/healthz", accept=(404,), timeout=10
        )  # connects: the next answer's age is its own
        asked = now()
        answer = client.session.send("GET", "/readyz", accept=(503,), timeout=10)
        heard = now()
    except LabqError as error:
        yield _finding("server", False, error.what, error.next)
        return
    body = answer.read()
    if answer.status != 200:
        yield _finding(
            "server", False, f"{url} answers, but is not ready: {body[:200].decode(errors='replace')}",
            "wait a moment; if it stays so, look at the server's log and at Redis",
        )  # fmt: skip
    else:
        yield _finding("server", True, f"{url} is ready")
    yield from _clock(body, asked, heard)
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


def _clock(body: bytes, asked: float, heard: float) -> Iterator[dict[str, Any]]:
    """Compare the server's time with the time between question and answer here."""
    from labq.cli.render.moments import epoch

    try:
        theirs = epoch(json.loads(body).get("now"))
    except (ValueError, AttributeError):
        return
    if theirs is None:  # an older server
        return
    skew = asked - theirs if theirs < asked else min(0.0, heard - theirs)
    if abs(skew) > _SKEW:
        text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the server's"
        yield _finding(
            "clock", False, f"this machine's clock is {text}", "turn on NTP here: timedatectl set-ntp true"
        )
    else:
        yield _finding("clock", True, f"within {_SKEW:.0f} s of the server's")
