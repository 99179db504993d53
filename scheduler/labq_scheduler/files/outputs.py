"""Outputs of jobs: the directory that a container wrote, or the tar that a remote agent sent, as one tar stream.

Constant memory whatever the size. Must not live here: how a tar is written (labq/outputs_tar.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from labq.errors import ConflictError, InternalError
from labq.outputs_tar import tar_of_directory as tar_of_directory
from labq_scheduler.files.layout import DataDir
from labq_scheduler.files.locked import LockedFile, storage_error

_PIECE = 2**18
_BLOCK = 512
#: Bytes after which what has arrived is brought to the disk. All of 40 GB at the end would take minutes, and the agent, which
#: waits 30 s for an answer, would send them again, and again.
SYNC_EVERY = 64 * 2**20


def find_outputs(files: DataDir, job_id: str, attempt: int) -> Iterator[bytes] | None:
    """Return the outputs of an attempt as a tar stream; None when there are none (yet)."""
    tar, directory = files.output_tar(job_id, attempt), files.output_dir(job_id, attempt)
    if attempt and directory.is_dir() and not _is_empty(directory):
        return tar_of_directory(directory)  # what the container wrote here; a tar beside it is a stray one
    if tar.is_file():
        with tar.open("rb") as handle:
            return pieces_of_file(tar) if handle.read(_BLOCK).strip(b"\0") else None
    return None


def arriving_since(files: DataDir, job_id: str, attempt: int) -> float | None:
    """Return when the outputs that an agent is sending last grew; None when it sends none."""
    try:
        return _part_of(files.output_tar(job_id, attempt)).stat().st_mtime
    except FileNotFoundError:
        return None


def _part_of(tar: Path) -> Path:
    return tar.with_suffix(".tar.part")


def pieces_of_file(path: Path) -> Iterator[bytes]:
    """Yield a file in pieces."""
    with path.open("rb") as handle:
        while piece := handle.read(_PIECE):
            yield piece


class TarReceiver:
    """The outputs that an agent sends, whole: they count when the last byte was written."""

    def __init__(self, target: Path) -> None:
        """Write beside ``target``, from its start.

        Raises:
            ConflictError: another request sends the same.
        """
        self._target = target
        self._file = LockedFile(_part_of(target), f"outputs {target.parent.name}/{target.stem}")
        self._file.truncate(0)
        self._synced = 0

    def write(self, data: bytes | bytearray) -> None:
        """Append.

        Raises:
            StorageFullError: the disk is full; nothing is kept.
        """
        try:
            self._file.write(data)
            if self._file.size - self._synced >= SYNC_EVERY:
                self._file.sync()
                self._synced = self._file.size
        except OSError as error:
            self._file.remove()
            raise storage_error(error, "receiving the outputs") from None

    def finish(self, expected: int | None) -> int:
        """Put the tar in place and return its size.

        Raises:
            ConflictError: the request ended early; nothing is kept.
        """
        size = self._file.size
        if expected is not None and size != expected:
            self._file.remove()
            raise ConflictError(f"{size} of {expected} bytes of the outputs arrived", "send them again")
        try:
            self._file.sync()
            self._file.rename(self._target)
        except OSError as error:
            self._file.remove()
            raise storage_error(error, "keeping the outputs") from None
        return size

    def abort(self) -> None:
        """Keep nothing."""
        self._file.remove()

    def close(self) -> None:
        """Let others write."""
        self._file.close()


def _is_empty(directory: Path) -> bool:
    try:
        with os.scandir(directory) as entries:
            return not any(entries)
    except PermissionError:
        raise InternalError(
            f"the server may not read outputs/{directory.parent.name}/{directory.name}",
            "run labq-scheduler as root, or as the user to whom the outputs belong",
        ) from None
