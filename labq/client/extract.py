"""Unpacking outputs that a job wrote: nothing of them may land outside the directory they are for."""

from __future__ import annotations

import errno
import os
import tarfile
from collections.abc import Callable, Iterator
from typing import Protocol

from labq.client.answer import NotHttpError
from labq.errors import StorageFullError, UnavailableError

#: Where outputs are in the container: absolute links of a job to its own files begin with it.
_OUTPUTS = "/outputs/"


class Readable(Protocol):
    """What ``tarfile`` needs of a stream."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""


def extract(stream: Readable, target: str, refused: Callable[[str, str], None]) -> Iterator[str]:
    """Unpack a tar stream into the directory ``target`` and yield the path of each file.

    Args:
        stream: an uncompressed tar.
        target: a directory, made when it is missing.
        refused: told name and reason of a member that is left out: one with an absolute path or ``..``,
            a device, or a link that leads out of ``target``.

    Raises:
        UnavailableError: the stream broke off, or is no tar.
        StorageFullError: this machine's disk is full.
    """
    os.makedirs(target, exist_ok=True)
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=2**18) as archive:  # type: ignore[call-overload]
            for member in archive:
                if _one(archive, member, target, refused) and not member.isdir():
                    yield os.path.join(target, member.name.lstrip("/").removeprefix("./"))
    except (tarfile.TarError, ConnectionError, TimeoutError, NotHttpError) as error:
        raise UnavailableError(
            f"the outputs broke off: {error}", "fetch them again; what has arrived was kept"
        ) from None


def _one(
    archive: tarfile.TarFile, member: tarfile.TarInfo, target: str, refused: Callable[[str, str], None]
) -> bool:
    _make_relative(member)
    try:
        safe = tarfile.data_filter(member, target)
        # The owner keeps the right to read, replace and remove what was fetched.
        if safe.mode is not None:
            safe.mode |= 0o700 if member.isdir() else 0o600
        # A second fetch replaces links and read-only files instead of writing through them.
        place = os.path.join(target, safe.name)
        if not member.isdir() and os.path.lexists(place) and not os.path.isdir(place):
            os.unlink(place)
        archive.extract(safe, target, set_attrs=True, filter="fully_trusted")
    except tarfile.FilterError as error:
        refused(member.name, str(error))
        return False
    except (ConnectionError, TimeoutError, NotHttpError):
        raise
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFullError(
                f"{target}: {error.strerror}", "make room, or choose another place with --to"
            ) from None
        refused(member.name, str(error.strerror or error))
        return False
    return True


def _make_relative(member: tarfile.TarInfo) -> None:
    """Rewrite an absolute link to the job's own outputs; it leads nowhere on this machine."""
    if member.issym() and member.linkname.startswith(_OUTPUTS):
        up = "../" * member.name.removeprefix("./").strip("/").count("/")
        member.linkname = up + member.linkname.removeprefix(_OUTPUTS)
