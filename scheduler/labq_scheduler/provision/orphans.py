"""What a killed driver left: its ansible goes on without it, since nothing tells it to end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

#: Variable in the environment of all that a run starts on this machine; its value is the run's directory:
#: two labs may have a run of the same number, and their provisioners may share a machine.
MARK = "LABQ_PROVISION_RUN"


def end_orphans(run: Path, proc: Path = Path("/proc")) -> int:
    """End what still gives orders for a run: ansible and its ssh. Return how many processes that were.

    Args:
        run: directory of the run.
        proc: where processes are seen.

    What works on this machine for it (an apt that a play began here) is left to end by itself, as it is on the
    machines that ssh reached: half an installation is worse than one that nobody waits for.
    """
    ended = 0
    for path in proc.iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid() and _orders(path, run):
            try:
                os.kill(int(path.name), signal.SIGKILL)
                ended += 1
            except ProcessLookupError:
                continue
    return ended


def _orders(path: Path, run: Path) -> bool:
    try:
        marked = f"{MARK}={run}".encode() in (path / "environ").read_bytes().split(b"\0")
        words = (path / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile, or is another's
        return False
    names = {os.path.basename(word) for word in words[:2]}
    return marked and (b"ansible-playbook" in names or words[0].startswith(b"ssh") or b"ssh" in names)
