"""Talking to systemd: ready, what one does, and that one's loops turn. Without systemd all of it does nothing.

The protocol is that of sd_notify(3): datagrams ``READY=1`` to the socket that ``NOTIFY_SOCKET`` names.

A program that hangs is killed and started again by its unit's ``WatchdogSec=``. What counts as hanging is decided here:
a loop that has not come round within its limit. A Redis, an engine or a driver that does not answer is none: loops
give up waiting, come round, and ask again, and a restart would mend nothing. Limits are therefore longer than the
longest wait that a loop may be in.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping

from labq.clock import monotonic

log = logging.getLogger(__name__)
#: The part of the watchdog's time after which it is fed again; systemd asks for a half or less.
_PART = 3.0


class Pulse:
    """One loop: when it last came round."""

    __slots__ = ("last", "limit")

    def __init__(self, limit: float) -> None:
        """Begin now.

        Args:
            limit: seconds within which it must come round.
        """
        self.limit = limit
        self.last = monotonic()

    def beat(self) -> None:
        """Say that the loop came round. Costs nothing; from any thread."""
        self.last = monotonic()


class Supervised:
    """This program, as systemd sees it."""

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        """Prepare; nothing is sent.

        Args:
            address: of the socket, ``@`` before an abstract one; "" = nobody listens.
            watchdog: seconds after which systemd kills a program that was silent; 0 = never.
        """
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog = watchdog
        self._pulses: dict[str, Pulse] = {}
        self._told: set[str] = set()
        self._stop = threading.Event()
        self._doing: Callable[[], str] = lambda: ""

    @classmethod
    def from_environment(cls, env: MutableMapping[str, str], pid: int) -> Supervised:
        """Return what the environment says, and take it from there: a child of ours must not speak for us.

        Args:
            env: ``os.environ``.
            pid: of this process: the watchdog may be meant for another.
        """
        address, microseconds = env.pop("NOTIFY_SOCKET", ""), env.pop("WATCHDOG_USEC", "")
        meant = env.pop("WATCHDOG_PID", str(pid)) == str(pid)
        seconds = int(microseconds) / 1e6 if microseconds.isdigit() and meant else 0.0
        return cls(address, seconds)

    def ready(self, doing: str) -> None:
        """Say that the settings were taken and work begins; feed the watchdog from now on, in a thread."""
        self.say({"READY": "1", "STATUS": doing})
        if self._address and self._watchdog:
            # What a program that hung was doing is in the journal then: systemd kills it by SIGABRT.
            faulthandler.enable(file=sys.stderr, all_threads=True)
            threading.Thread(target=self._feed, name="watchdog", daemon=True).start()

    def does(self, doing: Callable[[], str]) -> None:
        """Say what it does, now and each time that the watchdog is fed, for `systemctl status`.

        Args:
            doing: returns it in one line; called in a thread of this.
        """
        self._doing = doing
        self.say({"STATUS": doing()})

    def loop(self, name: str, limit: float) -> Pulse:
        """Return the pulse of a loop that begins now; from now on it must come round.

        Args:
            name: for the log.
            limit: seconds; longer than the longest wait in it.
        """
        pulse = self._pulses[name] = Pulse(limit)
        return pulse

    def stopping(self) -> None:
        """Say that it ends. May be called in a signal handler."""
        self._stop.set()
        self.say({"STOPPING": "1"})

    def say(self, words: Mapping[str, str]) -> None:
        """Send one datagram. A systemd that does not take it is no reason to fail."""
        if not self._address:
            return
        text = "".join(f"{key}={' '.join(value.split())}\n" for key, value in words.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.sendto(text.encode(), self._address)
        except OSError as error:
            log.debug("systemd was not told %s: %s", sorted(words), error)

    def late(self, at: float) -> list[str]:
        """Return the loops that have not come round in time.

        Args:
            at: monotonic seconds.
        """
        return sorted(name for name, each in self._pulses.items() if at - each.last > each.limit)

    def feed(self) -> bool:
        """Feed the watchdog once, unless a loop stands still; return whether it was fed."""
        late = self.late(monotonic())
        for name in late:
            if name not in self._told:
                limit = self._pulses[name].limit
                log.error(
                    "loop %s has not come round for %g s: systemd will start this program again", name, limit
                )
        self._told = set(late)
        if late:
            self.say({"STATUS": f"hangs: {', '.join(late)}"})
            return False
        doing = self._doing()
        self.say({"WATCHDOG": "1", "STATUS": doing} if doing else {"WATCHDOG": "1"})
        return True

    def _feed(self) -> None:
        while not self._stop.wait(self._watchdog / _PART):
            try:
                self.feed()
            except Exception:
                # What it does could not be said; that it does something is true all the same.
                log.exception("telling systemd")
                self.say({"WATCHDOG": "1"})


def under_systemd() -> Supervised:
    """Return this process, as its environment says; one that does nothing where systemd did not start it."""
    return Supervised.from_environment(os.environ, os.getpid())
