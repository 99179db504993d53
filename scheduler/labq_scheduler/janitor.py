"""Clearing away: index entries of jobs that Redis has forgotten, contexts that nobody needs, torn uploads.

Logs and outputs are kept as long as the record of their job, which is for ever: an admin removes them by hand.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path

from labq.clock import now
from labq.errors import LabqError
from labq.states import ACTIVE
from labq_scheduler.verbs.lab import Lab

log = logging.getLogger(__name__)

#: Seconds between two rounds.
PERIOD = 300.0
#: Seconds after which an upload that nobody went on with is given up.
STALE_PART = 86_400.0


class Janitor:
    """A round now and then, in a thread of its own."""

    def __init__(self, lab: Lab) -> None:
        """Prepare the thread."""
        self._lab = lab
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="janitor", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=3)

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            try:
                clear(self._lab, now=now())
            except LabqError as error:
                log.warning("janitor: %s", error.what)
            except Exception:
                log.exception("janitor: this round failed")


def clear(lab: Lab, *, now: float) -> None:
    """Make one round."""
    # Redis forgets a record keep_jobs after its end; a day more, for records whose life was set by other settings.
    lab.store.jobs.forget_ended(now - lab.site.keep_jobs - 86_400)
    if not lab.board.wait_caught_up():
        return  # which jobs are active is not known just now
    needed = {job.spec.context for job in list(lab.board.jobs.values()) if job.state in ACTIVE}
    contexts = [path for path in lab.files.contexts.glob("*.tar") if path.stem not in needed]
    removed = remove_old(contexts, now - lab.site.keep_contexts)
    parts = [*lab.files.contexts.glob("*.part"), *lab.files.outputs.glob("*/*.tar.part")]
    removed += remove_old(parts, now - STALE_PART)
    if removed:
        log.info("removed %d files that nobody needs", removed)


def remove_old(paths: Iterable[Path], before: float) -> int:
    """Remove the files that were last used before ``before`` and that nobody writes; return how many."""
    removed = 0
    for path in paths:
        try:
            if path.stat().st_mtime < before and _unused(path):
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("%s cannot be removed: %s", path.name, error.strerror)
    return removed


def _unused(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
