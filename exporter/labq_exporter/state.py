"""The file in which the counters outlive this program: ``<run_dir>/exporter/state.json``."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from labq.errors import ConflictError, UnavailableError
from labq.holding.samples import XidCount
from labq_exporter.totals import Totals, from_json

log = logging.getLogger(__name__)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class State:
    """The file, and the right to write it: one exporter for each run_dir."""

    def __init__(self, run_dir: Path) -> None:
        """Take the file.

        Raises:
            ConflictError: another exporter has it.
            UnavailableError: the directory cannot be written.
        """
        self._path = run_dir / "exporter" / "state.json"
        self._boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._path.parent / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UnavailableError(
                f"{self._path.parent} cannot be written: {error.strerror}",
                "run the exporter as root, or name another directory with LABQ_RUN_DIR",
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise ConflictError(
                f"another exporter runs with {run_dir}",
                "stop it first (systemctl stop labq-exporter), or give this one its own LABQ_RUN_DIR",
            ) from None

    def load(self, now: float) -> Totals:
        """Return the counters as they were written last; fresh ones when there are none that can be read."""
        try:
            body = json.loads(self._path.read_bytes())
            return from_json(body, self._boot, now)
        except FileNotFoundError:
            return Totals()
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            log.warning("%s cannot be read, the counters begin at 0: %s", self._path, error)
            return Totals()

    def save(self, totals: Totals, xids: Iterable[XidCount]) -> None:
        """Write the counters, at once or not at all.

        Raises:
            OSError: the disk is full, or gone.
        """
        # Not synced: the file is for the next life of this program, not for the next boot.
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(totals.to_json(xids, self._boot)))
            temporary.replace(self._path)
        except OSError:
            # An old file would let the counters go back at the next start, which Prometheus counts as new time.
            self._path.unlink(missing_ok=True)
            temporary.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Give the file back."""
        os.close(self._lock)
