"""Which job has which GPU, in the files that other exporters read.

dcgm-exporter   ``--hpc-job-mapping-dir``: a file for each GPU, named by its index (``2``, an instance ``2.1``), a job
                id on each line; no file = no job
jobstats        (Princeton's exporter): a file for each GPU, named by its UUID, ``<job id> <uid>``; no file = no job
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from labq.holding.facts import LeaseFacts


class MappingFiles:
    """Two directories; each may be None, then nothing is written there."""

    def __init__(self, dcgm: Path | None, jobstats: Path | None) -> None:
        """Take the directories."""
        self._dcgm, self._jobstats = dcgm, jobstats
        self._written: dict[Path, str] | None = None

    def write(self, leases: Sequence[LeaseFacts], uids: Mapping[str, int], slots: Mapping[str, str]) -> None:
        """Make the files say what ``leases`` say; files of other GPUs are left alone.

        Args:
            leases: of this node.
            uids: lease token -> unix uid of the job's owner.
            slots: GPU uuid -> slot of all GPUs of this node.

        Raises:
            OSError: a directory cannot be written.
        """
        wanted = self._wanted(leases, uids, slots)
        if wanted == self._written:
            return
        for path, text in wanted.items():
            if not text:
                path.unlink(missing_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            temporary.write_text(text)
            temporary.replace(path)
        self._written = wanted

    def _wanted(
        self, leases: Sequence[LeaseFacts], uids: Mapping[str, int], slots: Mapping[str, str]
    ) -> dict[Path, str]:
        """Return each file and what is to be in it; "" = it is not to be there."""
        out: dict[Path, str] = {}
        for uuid, slot in slots.items():
            mine = sorted((lease for lease in leases if uuid in lease.gpus), key=lambda lease: lease.job)
            if self._dcgm is not None:
                out[self._dcgm / slot] = "".join(f"{lease.job}\n" for lease in mine)
            if self._jobstats is not None:
                # One owner for each GPU: its format knows no sharing.
                first = f"{mine[0].job} {uids.get(mine[0].token, 0)}\n" if mine else ""
                out[self._jobstats / uuid] = first
        return out
