"""An end for a whole exchange: a socket's own timeout begins anew with every byte that drips in."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def cut_after(connection: socket.socket, seconds: float) -> Iterator[threading.Event]:
    """Cut the connection when the block takes longer than ``seconds``; the event says whether that happened.

    Args:
        connection: before or after TLS was begun on it.
        seconds: until it is cut; whoever reads from it then finds it closed.
    """
    late = threading.Event()
    # A copy of its own: beginning TLS takes the descriptor away from the socket it was begun on.
    guard = socket.socket(fileno=os.dup(connection.fileno()))

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError):
            guard.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, seconds), cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()  # else it may cut what the descriptor's number means by then
        guard.close()
