"""What this agent's leases are, told to the other programs of the machine.

The exporter reads ``<run_dir>/leases/`` (labq/holding/leases.py): labels of labq on a container count only with a
lease. dcgm-exporter (``--hpc-job-mapping-dir``) and Princeton's jobstats read a file for each GPU (mapping_files.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from labq.clock import now
from labq.holding.facts import LeaseFacts
from labq.holding.leases import write_leases
from labq_worker.attempts import Attempts
from labq_worker.config import AgentConfig
from labq_worker.mapping_files import MappingFiles

log = logging.getLogger(__name__)


class LeaseNotes:
    """The leases of the attempts in work, and the files that say so."""

    def __init__(self, config: AgentConfig, agent: str, attempts: Attempts) -> None:
        """Write nothing yet.

        Args:
            config: of the agent.
            agent: id of the agent.
            attempts: those in work.
        """
        self._run_dir, self._file = config.run_dir, f"{config.name}-{agent}"
        self._attempts = attempts
        self._mapping = MappingFiles(config.dcgm_jobs_dir, config.jobstats_dir)
        #: GPU uuid -> slot, of the GPUs of this node
        self.slots: Callable[[], Mapping[str, str]] = dict
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def all(self) -> list[LeaseFacts]:
        """Return the leases that this agent works on, as far as it has read their jobs."""
        return [attempt.facts for attempt in self._attempts.all() if attempt.facts is not None]

    def write(self) -> None:
        """Write the files. What cannot be written is said once: jobs run without it."""
        with self._lock:
            leases = self.all()
            uids = {attempt.lease: attempt.uid for attempt in self._attempts.all()}
            self._safely("leases", lambda: write_leases(self._run_dir, self._file, leases, now=now()))
            self._safely("mapping files", lambda: self._mapping.write(leases, uids, self.slots()))

    def _safely(self, what: str, write: Callable[[], None]) -> None:
        try:
            write()
            self._told.discard(what)
        except OSError as error:
            if what not in self._told:
                log.warning("%s for other programs cannot be written: %s", what, error)
            self._told.add(what)
