"""What an attempt begins with: ``/outputs`` as the attempt before left it, from the server or its data directory.

It is unpacked beside its place and put there in one step, so that whoever dies in between leaves nothing half-done:
where the directory is, it is whole. Nobody looks into the other name, and the next try begins anew.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from labq.clock import monotonic
from labq.earlier_outputs import earlier_outputs
from labq.job import Job
from labq.outputs_tar import tar_of_directory
from labq.safe_unpack import Keeping, RefusedError, open_archive, parts_of, place
from labq.units import about_bytes
from labq_worker.paths import Paths
from labq_worker.server import Server, ServerError

log = logging.getLogger(__name__)
#: Name of a directory that is being filled, behind the attempt's number.
FILLING = ".filling"
_CHUNK = 2**20
#: Seconds between two looks whether the job still wants it.
_LOOK = 1.0
#: Seconds until the server is asked again, at first and at most; and in all, while the job holds its GPUs in vain.
FIRST_WAIT, LONGEST_WAIT, PATIENCE = 0.5, 15.0, 600.0


class CarryError(Exception):
    """The earlier outputs cannot be brought here now; carries a clause for the owner."""


class UnwantedError(Exception):
    """The job was cancelled, or given to another, meanwhile."""


class Carrier:
    """Fills the outputs of attempts before they start."""

    def __init__(self, paths: Paths, node: str, server: Server | None) -> None:
        """Use the data directory.

        Args:
            paths: the data directory.
            node: name of this node.
            server: asks here; None = the server's data directory is ours.
        """
        self._paths, self._node, self._server = paths, node, server

    def fill(self, job: Job, check: Callable[[], None]) -> None:
        """Let the present attempt's outputs begin as an earlier attempt left its own; nothing is done twice.

        Args:
            job: holds its lease here.
            check: called now and then; raises UnwantedError when the job is not to start any more.

        Raises:
            CarryError: they cannot be had now.
            UnwantedError: ``check`` did.
        """
        target = self._paths.outputs(job.id, job.attempt)
        if target.exists() or not any(run.started_at is not None for run in job.attempts):
            return
        filling = target.with_name(target.name + FILLING)
        try:
            if self._server is None:
                found = earlier_outputs(job, job.attempt, target.parent, self._node)
                brought = found is not None
                if found is not None:
                    self._unpack(_local(found[1]), filling, job, check)
            else:
                brought = self._fetch(self._server, filling, job, check)
            if brought:
                filling.rename(target)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise CarryError("there is no room for them on this node") from None
            raise CarryError(f"{error.strerror or error}") from None
        finally:
            shutil.rmtree(filling, ignore_errors=True)

    def drop(self, job_id: str, number: int) -> None:
        """Remove what an attempt was given that never ran: the earlier attempt's own is still there."""
        shutil.rmtree(self._paths.outputs(job_id, number), ignore_errors=True)

    def remove_leftovers(self, in_work: Callable[[], set[str]]) -> None:
        """Remove what an agent that died had begun to fill.

        Args:
            in_work: returns the ids of jobs in work; asked after looking.
        """
        found = list((self._paths.root / "outputs").glob(f"*/*{FILLING}"))
        keep = in_work()
        for filling in found:
            if filling.parent.name not in keep:
                shutil.rmtree(filling, ignore_errors=True)

    def _fetch(self, server: Server, filling: Path, job: Job, check: Callable[[], None]) -> bool:
        """Bring them from the server, also when it restarts meanwhile; return whether there are any."""
        pause, wait, since = threading.Event(), FIRST_WAIT, monotonic()
        while True:
            try:
                self._unpack(
                    server.get(f"/v1/agent/begin/{job.id}/{job.attempt}", _CHUNK), filling, job, check
                )
            except (ServerError, tarfile.TarError) as error:
                if isinstance(error, ServerError) and error.status == 404:
                    return False
                passes = error.passes if isinstance(error, ServerError) else True
                if not passes or monotonic() - since > PATIENCE:
                    raise CarryError(str(error)) from None
                log.warning("job %s: its earlier outputs: %s; trying again", job.id, error)
            else:
                return True
            check()
            pause.wait(wait)
            wait = min(LONGEST_WAIT, wait * 2)

    def _unpack(self, chunks: Iterator[bytes], filling: Path, job: Job, check: Callable[[], None]) -> None:
        shutil.rmtree(filling, ignore_errors=True)
        filling.mkdir(mode=0o700, parents=True)
        owner = None if (os.geteuid(), os.getegid()) == (job.uid, job.gid) else (job.uid, job.gid)
        keeping = Keeping(
            # Whoever made them could always enter, read and change them; nothing is setuid.
            file_mode=lambda mode: mode & 0o777,
            directory_mode=lambda mode: (mode & 0o1777) | 0o700,
            link=lambda leads, _: leads,  # it is followed in the container only, as before
            owner=owner,
        )
        stream, began, count = _Stream(chunks, check), monotonic(), 0
        root = os.open(filling, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with open_archive(stream) as archive:
                for member in archive:
                    try:
                        if parts := parts_of(member.name):
                            place(archive, member, root, parts, keeping)
                            count += 1
                    except RefusedError as error:
                        log.warning(
                            "job %s: %s of its earlier outputs left out: %s", job.id, member.name, error
                        )
            while stream.read(_CHUNK):  # to its end: only there a connection that was cut is noticed
                pass
        finally:
            os.close(root)
        log.info(
            "job %s attempt %d begins with %d files and directories of an earlier one (%s in %.1f s)",
            job.id, job.attempt, count, about_bytes(stream.size), monotonic() - began,
        )  # fmt: skip


class _Stream:
    """Chunks as the file that tarfile reads; asks now and then whether to go on."""

    def __init__(self, chunks: Iterator[bytes], check: Callable[[], None]) -> None:
        self._chunks, self._check = chunks, check
        self._rest = memoryview(b"")
        self._looked = monotonic()
        self.size = 0

    def read(self, size: int = -1, /) -> bytes:
        if monotonic() - self._looked > _LOOK:
            self._check()
            self._looked = monotonic()
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        piece = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(piece) :]
        self.size += len(piece)
        return bytes(piece)


def _local(found: Path) -> Iterator[bytes]:
    if found.is_dir():
        yield from tar_of_directory(found)
        return
    with found.open("rb") as handle:
        while piece := handle.read(_CHUNK):
            yield piece
