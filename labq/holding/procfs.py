"""Reads what /proc says of one process. Never its command line: arguments carry secrets.

A process is (pid, start): the kernel gives a pid again as soon as it is free. So the start is read before and after
all else; facts of two processes are never mixed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from labq.holding.cgroups import parse_cgroup
from labq.holding.facts import ProcessFacts

#: ``loginuid`` of a process that no login led to: (uid_t) -1.
UNSET = 4294967295
#: Looks after which a known process is read anew: it may have changed its uid or cgroup since (a minute at 2 s).
REFRESH = 30
#: Processes kept; those that no driver lists any more are dropped when it is full.
LIMIT = 4096
_CHUNK = 65536


@dataclass(slots=True)
class _Known:
    facts: ProcessFacts
    looks: int


class Procfs:
    """Reads processes of this machine, and remembers the steady ones. For one thread."""

    def __init__(self, root: str = "/proc") -> None:
        """Take the mount point of the proc filesystem, in the host's pid namespace."""
        self._root = root
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._known: dict[int, _Known] = {}

    def read(self, pid: int) -> ProcessFacts | None:
        """Return what is known of a process; None = there is none, or only its zombie.

        Raises:
            OSError: /proc is there but must not be read (hidepid without the privilege).
        """
        start = self._start(pid)
        if start is None:
            self._known.pop(pid, None)
            return None
        known = self._known.get(pid)
        if known is not None and known.facts.start == start and known.looks > 0:
            known.looks -= 1
            return known.facts
        facts = self._facts(pid, start)
        if facts is None:
            self._known.pop(pid, None)
            return None
        if len(self._known) >= LIMIT:
            self._known.clear()
        self._known[pid] = _Known(facts, REFRESH)
        return facts

    def _facts(self, pid: int, start: int) -> ProcessFacts | None:
        status, cgroup = self._file(pid, "status"), self._file(pid, "cgroup")
        said = self._file(pid, "loginuid")
        if status is None or cgroup is None or self._start(pid) != start:
            return None
        login = int(said) if said else UNSET
        return ProcessFacts(
            pid=pid,
            start=start,
            started_at=self._boot() + start / self._ticks,
            uid=_real_uid(status),
            loginuid=None if login == UNSET else login,
            cgroup=parse_cgroup(os.fsdecode(cgroup)),
        )

    def _start(self, pid: int) -> int | None:
        """Return clock ticks from boot to the start of a living process."""
        stat = self._file(pid, "stat")
        if not stat:
            return None
        # The name, in parentheses, may hold spaces and parentheses itself. After it come state (3) … threads (20),
        # 0, start (22), by the numbers of proc(5).
        fields = stat[stat.rindex(b")") + 2 :].split(maxsplit=20)
        state, threads, start = fields[0], int(fields[17]), int(fields[19])
        # The first thread of a living program may end before the others; it is a zombie until they end.
        if state in {b"Z", b"X", b"x"} and threads <= 1:
            return None
        return start

    def _boot(self) -> float:
        """Return when the machine started, seconds since the epoch; the kernel says whole seconds."""
        with open(f"{self._root}/stat", "rb") as file:
            for row in file:
                if row.startswith(b"btime "):
                    return float(row.split()[1])
        return 0.0

    def _file(self, pid: int, name: str) -> bytes | None:
        """Return a file of a process; None when the process or the file is not there."""
        try:
            # The built-in open() costs four times as much, and this is done for each process at each look.
            file = os.open(f"{self._root}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            return None
        try:
            whole = b""
            while piece := os.read(file, _CHUNK):
                whole += piece
                if name == "stat":
                    break  # one row, never longer than a page
        except ProcessLookupError:
            return None
        finally:
            os.close(file)
        return whole


def _real_uid(status: bytes) -> int:
    # "Uid: real effective saved filesystem"; a name cannot forge a row, the kernel escapes its line ends.
    for row in status.splitlines():
        if row.startswith(b"Uid:"):
            return int(row.split()[1])
    raise OSError("/proc/<pid>/status has no row Uid:")
