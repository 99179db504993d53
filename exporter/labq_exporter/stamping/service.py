"""Listens, hands each client to a Connection, and ends on SIGTERM."""

from __future__ import annotations

import asyncio
import errno
import grp
import logging
import os
import signal
import socket
from collections.abc import MutableMapping, Sequence
from pathlib import Path

from labq.errors import BadInputError, ConflictError, UnavailableError
from labq_exporter.stamping.connection import Connection
from labq_exporter.stamping.stamper import Stamper

log = logging.getLogger(__name__)

#: First socket that systemd passes (sd_listen_fds(3)).
FIRST_FD = 3
#: Connections that may wait to be accepted; dockerd's is the kernel's limit, too.
BACKLOG = 4096
#: Seconds to wait when no more files can be opened.
FULL_S = 0.1


def inherited(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the sockets that systemd listens on for this process; none when it was started otherwise."""
    if environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return []
    count = int(environ.pop("LISTEN_FDS", "0"))
    return [socket.socket(fileno=fd) for fd in range(FIRST_FD, FIRST_FD + count)]


def listen_at(path: Path, group: str) -> socket.socket:
    """Return a socket that listens at ``path`` with mode 0660.

    Raises:
        ConflictError: Somebody listens there already, or it is no socket.
        BadInputError: There is no such group.
        UnavailableError: The directory does not allow it.
    """
    try:
        gid = grp.getgrnam(group).gr_gid if group else -1
    except KeyError:
        raise BadInputError(f"there is no group {group!r}", "name one of /etc/group: --group NAME") from None
    _must_be_free(path)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    listener = socket.socket(socket.AF_UNIX)
    try:
        new.unlink(missing_ok=True)
        listener.bind(str(new))
        # Under another name until it is ready: nobody meets it half made, and an old one is replaced at once.
        os.chown(new, -1, gid)
        new.chmod(0o660)
        listener.listen(BACKLOG)
        new.rename(path)
    except OSError as error:
        listener.close()
        raise UnavailableError(
            f"cannot listen at {path}: {error.strerror or error}",
            "make its directory, or choose another path",
        ) from None
    return listener


def _must_be_free(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_socket():
        raise ConflictError(f"{path} is there and no socket", "choose another path: --listen PATH")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise ConflictError(f"somebody listens at {path}", "stop it, or choose another path")


class Service:
    """The proxy, until SIGTERM or SIGINT."""

    def __init__(self, engine_path: str, stamper: Stamper, grace: float) -> None:
        """Forward to ``engine_path``; at the end, open streams have ``grace`` seconds."""
        self._engine_path = engine_path
        self._stamper = stamper
        self._grace = grace
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, listeners: Sequence[socket.socket]) -> None:
        """Serve; returns when told to stop and the streams are done or cut."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
        accepting = [asyncio.create_task(self._accept(listener)) for listener in listeners]
        log.info("stamping for %s", self._engine_path)
        await stop.wait()
        for task in accepting:
            task.cancel()
        # systemd goes on listening: who comes now waits for the next start.
        for listener in listeners:
            listener.close()
        if self._running:
            log.info("%d connections have %g s to end", len(self._running), self._grace)
            await asyncio.wait(self._running, timeout=self._grace)
        for connection in self._running:
            connection.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError as error:
                # Too many open files: those who wait are served when somebody has gone.
                log.warning("cannot accept: %s", error.strerror)
                await asyncio.sleep(FULL_S)
                continue
            task = asyncio.create_task(self._serve(client))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _serve(self, client: socket.socket) -> None:
        try:
            await Connection(client, self._engine_path, self._stamper).run()
        except OSError as error:
            log.debug("connection ended: %s", error)
        except Exception:
            # One connection's fault is not the others'.
            log.exception("connection failed")
        finally:
            client.close()
