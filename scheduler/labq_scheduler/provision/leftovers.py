"""What runs leave on this machine, and its removal. Nothing else is ever removed.

A run has a directory below ``runs/``, and one with a short path for ssh's sockets and decrypted files, whose name stands
in the first: whatever dies on the way, the next driver or the service finds both.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from labq.whole_file import write_whole
from labq_scheduler.provision.locks import Alive
from labq_scheduler.provision.places import LabDir

#: Runs whose logs are kept.
KEEP_RUNS = 20
_SCRATCH = "labq-run-"


def make_scratch(directory: Path) -> Path:
    """Return a new private directory with a short path.

    Args:
        directory: of the run.
    """
    tidy_up(directory)  # of a driver that was killed before the run began
    found = Path(tempfile.gettempdir(), f"{_SCRATCH}{secrets.token_hex(6)}")
    # The name first, for whoever tidies up. Nobody else can have made the directory: mkdir would fail.
    write_whole(directory / "scratch", str(found), mode=0o600)
    for path in (found, found / "home", found / "tmp", found / "cp"):
        path.mkdir(mode=0o700)
    return found


def tidy_up(directory: Path) -> None:
    """Remove what ansible and its runner left of a run: facts, environment, sockets; our own log of the run stays."""
    for path in (directory / "artifacts", directory / "env", _scratch_of(directory)):
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)
    (directory / "scratch").unlink(missing_ok=True)


def forget_old_runs(lab: LabDir) -> None:
    """Remove the directories of all but the last runs, and of those that have not ended."""
    found = []
    for path in (lab.root / "runs").iterdir():
        with suppress(FileNotFoundError):  # another driver forgets at the same time
            found.append((path.stat().st_mtime, path))
    for _, path in sorted(found)[:-KEEP_RUNS]:
        # One that waits a day for a node's jobs is among the oldest. Without its lock it would count as dead.
        if not Alive(path).held():
            tidy_up(path)
            shutil.rmtree(path, ignore_errors=True)


def _scratch_of(directory: Path) -> Path | None:
    """Return the run's directory from ``make_scratch``; None = there is none.

    An empty file would name the working directory, which for the service is /: nothing is believed that has not the
    form, and is not ours.
    """
    try:
        found = Path((directory / "scratch").read_text(errors="replace"))
        if not found.is_absolute() or ".." in found.parts or not found.name.startswith(_SCRATCH):
            return None
        seen = found.lstat()
    except (OSError, ValueError):
        return None
    return found if stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() else None
