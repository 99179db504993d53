"""Which job has which GPU, in the files that other exporters read.

dcgm-exporter   ``--hpc-job-mapping-dir``: a file for each GPU, named by its index (``2``, an instance ``2.1``), a job
                id on each line; no file = no job
jobstats        (Princeton's exporter): a file for each GPU, named by its UUID, ``<job id> <uid>``; no file = no job

A GPU may go while its file is there: its card was divided anew, perhaps while no agent ran. So the names of the files
that were written are kept beside them, in ``.labq``. The directory may be another's too (Slurm's prolog writes files of
the same form): only what is remembered there, and still has labq's form, is removed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from labq.holding.facts import LeaseFacts

#: Job ids of labq: 12, and 12.3 for the third of an array.
_JOB = r"[1-9]\d{0,18}(?:\.\d{1,9})?"
_SLOT = re.compile(r"\d{1,3}(?:\.\d{1,3})?", re.ASCII)
_UUID = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z/-]{1,80}", re.ASCII)
_DCGM = re.compile(rf"(?:{_JOB}\n)+", re.ASCII)
_JOBSTATS = re.compile(rf"{_JOB} \d{{1,10}}\n", re.ASCII)
#: Bytes: hundreds of jobs on one GPU.
_MOST = 16384
_MEMORY = ".labq"


class MappingFiles:
    """Two directories; each may be None, then nothing is written there."""

    def __init__(self, dcgm: Path | None, jobstats: Path | None) -> None:
        """Take the directories."""
        self._dcgm, self._jobstats = dcgm, jobstats
        self._written: dict[Path, str] | None = None

    def write(self, leases: Sequence[LeaseFacts], uids: Mapping[str, int], slots: Mapping[str, str]) -> None:
        """Make the files say what ``leases`` say; remove ours of GPUs that are no more, leave others' alone.

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
        self._remove_left(wanted, named=bool(slots))
        for path, text in wanted.items():
            if text:
                _put(path, text)
            else:
                path.unlink(missing_ok=True)
        self._written = wanted

    def _remove_left(self, wanted: Mapping[Path, str], *, named: bool) -> None:
        """Remove what an agent wrote for GPUs that are no more, and remember what is about to be written.

        Args:
            wanted: what is to be in each file.
            named: False = the GPUs of this node are not known yet, and so neither which of them are no more.
        """
        for folder, name, text in ((self._dcgm, _SLOT, _DCGM), (self._jobstats, _UUID, _JOBSTATS)):
            if folder is None:
                continue
            before = _remembered(folder)
            new = {path.name for path, said in wanted.items() if said and path.parent == folder}
            if named:
                for each in sorted(before):
                    path = folder / each
                    if name.fullmatch(each) and path not in wanted and _is_ours(path, text):
                        path.unlink(missing_ok=True)
            else:
                new |= before
            if new != before:
                # First the memory: an agent that is killed in between leaves nothing that nobody knows.
                _put(folder / _MEMORY, "".join(f"{each}\n" for each in sorted(new)))

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


def _remembered(folder: Path) -> set[str]:
    """Return the names of the files that this or an earlier agent wrote there."""
    try:
        text = (folder / _MEMORY).read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return set()
    return set(text.split())


def _is_ours(path: Path, text: re.Pattern[str]) -> bool:
    """Return whether a file is still what an agent wrote: regular, this account's, and every line in labq's form."""
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.geteuid() or about.st_size > _MOST:
            return False
        return text.fullmatch(path.read_bytes().decode("ascii", "replace")) is not None
    except FileNotFoundError:
        return False


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)
