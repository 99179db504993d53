"""Who is at the other end of a unix socket, as the kernel tells it.

The kernel notes uid and pid when a client connects (SO_PEERCRED, unix(7)); the pid may have died and be somebody
else's by the time it is looked at, so what /proc says counts only while a pidfd shows that the process lives.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import select
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from labq.clock import monotonic
from labq.holding.words import plain

#: Linux 6.5: the pidfd of who connected; Python 3.11 has no name for it.
SO_PEERPIDFD = 77
#: The kernel's "nobody": unset login uid, and a uid that has no name in this user namespace.
UNSET = 2**32 - 1
OVERFLOW = 65534
#: Seconds for which the name of a uid is believed.
NAME_S = 60.0
_CONTAINER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who connected."""

    uid: int
    pid: int
    #: the person's uid; None = nobody can be named
    person: int | None
    #: why nobody can be named, or why it is not the uid of the process; "" = it is
    why: str = ""


def caller_of(client: socket.socket) -> Caller:
    """Return who connected; to be asked at once, while the client lives."""
    pid, uid, _ = struct.unpack(
        "3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    )
    uid &= UNSET
    if uid == OVERFLOW:
        return Caller(uid, pid, None, "its uid is not mapped on this machine")
    pidfd = -1
    try:
        pidfd = _pidfd(client, pid)
        containers = set(_CONTAINER.findall(Path(f"/proc/{pid}/cgroup").read_text()))
        # Where labq itself runs in a container, its own id is on everybody's path.
        containers -= set(_CONTAINER.findall(Path("/proc/self/cgroup").read_text()))
        loginuid = int(Path(f"/proc/{pid}/loginuid").read_text()) if uid == 0 else UNSET
        alive = not select.select([pidfd], [], [], 0)[0]
    except (OSError, ValueError):
        alive = False
    finally:
        if pidfd >= 0:
            os.close(pidfd)
    if not alive:
        return Caller(uid, pid, None, "the process ended before it was looked at")
    if containers:
        # uid 1000 in somebody's dev container is not the person who has uid 1000 here.
        return Caller(uid, pid, None, "it runs in a container")
    if uid:
        return Caller(uid, pid, uid)
    if loginuid in {0, UNSET}:
        return Caller(uid, pid, None, "root, and from no person's login")
    return Caller(uid, pid, loginuid, "root, from this person's login")


def _pidfd(client: socket.socket, pid: int) -> int:
    with contextlib.suppress(OSError):
        return client.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    return os.pidfd_open(pid)


class Names:
    """Account names by uid; a directory service that hangs is asked once a minute, never at each create."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, str]] = {}

    def of(self, uid: int) -> str:
        """Return the account's name, "" when it has none. May block (LDAP): not for the event loop."""
        at, name = self._known.get(uid, (-NAME_S, ""))
        if monotonic() - at >= NAME_S:
            try:
                # The engine, which speaks JSON, would replace such letters, and the seal would not hold.
                name = plain(pwd.getpwuid(uid).pw_name)
            except KeyError:
                name = ""
            self._known[uid] = (monotonic(), name)
        return name
