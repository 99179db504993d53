"""The HTTP server. The only importer of uvicorn."""

from __future__ import annotations

import gc
import logging
import socket
import sys

import uvicorn

from labq.errors import BadInputError
from labq.sdnotify import Supervised
from labq_scheduler.api.app import create_app
from labq_scheduler.loop import Loop
from labq_scheduler.serve import GRACE, Stopper
from labq_scheduler.verbs.lab import Lab

log = logging.getLogger(__name__)
#: Seconds after which the loop that answers requests hangs: nothing in it waits for anybody.
HANGS = 60.0


def run_web(
    lab: Lab,
    host: str,
    port: int,
    stopper: Stopper,
    loop: Loop | None,
    metrics_token: str,
    supervised: Supervised,
) -> None:
    """Serve until a signal.

    Args:
        lab: the parts.
        host: where to listen.
        port: where to listen.
        stopper: says when to stop.
        loop: the deciding loop of this process; None = it has none.
        metrics_token: what a scraper must send; "" = nothing.
        supervised: how systemd sees this process.

    Raises:
        BadInputError: the address cannot be used.
    """
    listener = listen(host, port)
    app = create_app(lab, loop, metrics_token, on_turn=lambda: supervised.loop("requests", HANGS).beat())
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=75,
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        app.state.hub.close()
        server.should_exit = True

    stopper.on_stop = stop
    if stopper.event.is_set():
        return
    # Requests hand work to threads and back; 5 ms of waiting for the interpreter each time is too much.
    sys.setswitchinterval(0.001)
    gc.collect()
    gc.freeze()
    name = "{}:{}".format(*listener.getsockname()[:2])
    log.info("labq answers at http://%s, data in %s", name, lab.files.root)
    _Quiet(server).run(listener)


class _Quiet:
    """uvicorn without its own handling of signals: ours is there already."""

    def __init__(self, server: uvicorn.Server) -> None:
        self._server = server

    def run(self, listener: socket.socket) -> None:
        """Serve on the socket."""
        from contextlib import nullcontext

        self._server.capture_signals = nullcontext  # type: ignore[assignment, method-assign]
        self._server.run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        BadInputError: the address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        raise BadInputError(
            f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}",
            "another labq may run there: choose another with --port or LABQ_PORT, or --host",
        ) from None
    return listener
