"""The driver's rows about processes -> processes that can be believed. Pure.

Some drivers and bindings disagree on the layout of these rows and then tell pid 0, 4294967295, or a size of memory
as a pid; others fill the buffer of utilizations with what was there before. So no row is believed unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labq.holding.samples import GpuProcess

#: One more than the greatest pid that a Linux kernel gives (PID_MAX_LIMIT).
PID_LIMIT = 2**22
#: Microseconds by which the driver's clock may be ahead of ours; a row from later than that is garbage.
AHEAD = 5_000_000


@dataclass(frozen=True, slots=True)
class UseRow:
    """One sample of how much a process used the multiprocessors."""

    pid: int
    #: microseconds since the epoch
    time: int
    #: percent
    sm: int


def believable(rows: Iterable[tuple[int, int | None]], total: int) -> dict[int, int | None]:
    """Return the memory of each process.

    Args:
        rows: (pid, bytes); a pid may come twice, from the compute list and from the MPS list.
        total: bytes that the GPU has; a process with more is not believed its memory. 0 = not known.
    """
    found: dict[int, int | None] = {}
    for pid, memory in rows:
        if not 0 < pid < PID_LIMIT:
            continue
        if memory is not None and total and memory > total:
            memory = None
        known = found.get(pid)
        # The lists tell the same memory twice: the greater one, never the sum.
        found[pid] = memory if known is None else known if memory is None else max(known, memory)
    return found


def since(newest: int, now: float) -> int:
    """Return from when on to ask for samples: microseconds since the epoch.

    Args:
        newest: time of the newest sample seen; 0 = none was.
        now: seconds since the epoch.
    """
    at = round(now * 1_000_000)
    # Asked since 0, the driver tells its whole buffer: what processes did long ago. And a clock that was set back
    # would let everybody seem idle until it has caught up.
    return newest if 0 < newest <= at + AHEAD else at - 1_000_000


def latest_use(rows: Iterable[UseRow], asked_since: int, now: float) -> tuple[dict[int, float], int]:
    """Return the use (0 to 1) by pid, and the time of the newest sample (``asked_since`` when there is none).

    Args:
        rows: what the driver told.
        asked_since: microseconds since the epoch; older rows are leftovers.
        now: seconds since the epoch.
    """
    best: dict[int, UseRow] = {}
    until = round(now * 1_000_000) + AHEAD
    for row in rows:
        if not 0 < row.pid < PID_LIMIT or not 0 <= row.sm <= 100 or not asked_since < row.time <= until:
            continue
        if row.pid not in best or best[row.pid].time < row.time:
            best[row.pid] = row
    newest = max((row.time for row in best.values()), default=asked_since)
    return {pid: row.sm / 100 for pid, row in best.items()}, newest


def processes(memory: Mapping[int, int | None], use: Mapping[int, float] | None) -> tuple[GpuProcess, ...]:
    """Return the processes, sorted by pid.

    Args:
        memory: of :func:`believable`.
        use: of :func:`latest_use`; a process without a sample did nothing. None = the driver cannot say.
    """
    return tuple(
        GpuProcess(pid, memory[pid], None if use is None else use.get(pid, 0.0)) for pid in sorted(memory)
    )
