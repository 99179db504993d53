"""Unpacking outputs that a job wrote: nothing of them may land outside the directory they are for.

A job is not trusted, and whoever fetches may be root. So no path of the archive is ever given to the kernel as a
whole (what ``realpath`` says of it may differ from what the kernel does, and ``tarfile``'s own filters rely on it):
each directory is opened by its name in the one above, links refused, and files are made in it, never written through.
"""

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
_PIECE = 2**20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Readable(Protocol):
    """What ``tarfile`` needs of a stream."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""


class _RefusedError(Exception):
    """A member that is left out; says why."""


def extract(stream: Readable, target: str, refused: Callable[[str, str], None]) -> Iterator[str]:
    """Unpack a tar stream into the directory ``target`` and yield the path of each file.

    Args:
        stream: an uncompressed tar.
        target: a directory, made when it is missing. What is there under the same names is replaced.
        refused: told name and reason of a member that is left out: one with an absolute path or ``..``, one whose
            way leads through a link, a device, or a link that could lead out of ``target``.

    Raises:
        UnavailableError: the stream broke off, or is no tar.
        StorageFullError: this machine's disk is full.
    """
    os.makedirs(target, exist_ok=True)
    root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=2**18) as archive:  # type: ignore[call-overload]
            for member in archive:
                try:
                    parts = _parts(member.name)
                    if parts:
                        _place(archive, member, root, parts)
                except _RefusedError as error:
                    refused(member.name, str(error))
                except (ConnectionError, TimeoutError, NotHttpError):
                    raise
                except OSError as error:
                    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                        raise StorageFullError(
                            f"{target}: {error.strerror}", "make room, or choose another place with --to"
                        ) from None
                    refused(member.name, str(error.strerror or error))
                else:
                    if parts and not member.isdir():
                        yield os.path.join(target, *parts)
    except (tarfile.TarError, ConnectionError, TimeoutError, NotHttpError) as error:
        raise UnavailableError(
            f"the outputs broke off: {error}", "fetch them again; what has arrived was kept"
        ) from None
    finally:
        os.close(root)


def _parts(name: str) -> list[str]:
    """Return the names of a member's path; empty for the top itself."""
    if name.startswith("/"):
        raise _RefusedError("its path is absolute")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise _RefusedError("its path has '..'")
    return parts


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, root: int, parts: list[str]) -> None:
    folder, name = os.dup(root), parts[-1]
    try:
        for part in parts[:-1]:
            folder = _enter(folder, part)
        if member.isdir():
            os.close(_enter(os.dup(folder), name, replace_link=True))
        elif member.isreg():
            _make_file(archive, member, folder, name)
        elif member.issym():
            link = _harmless(member.linkname, depth=len(parts) - 1)
            _make_way(folder, name)
            os.symlink(link, name, dir_fd=folder)
        else:
            raise _RefusedError("it is neither a file, a directory nor a symbolic link")
    finally:
        os.close(folder)


def _enter(folder: int, name: str, *, replace_link: bool = False) -> int:
    """Return the directory ``name`` of ``folder``, made when it is missing; ``folder`` is closed."""
    try:
        try:
            return os.open(name, _DIRECTORY, dir_fd=folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                raise
            if not replace_link:
                raise _RefusedError(f"its way leads through {name!r}, which is no directory") from None
            os.unlink(name, dir_fd=folder)
        os.mkdir(name, 0o755, dir_fd=folder)
        return os.open(name, _DIRECTORY, dir_fd=folder)
    finally:
        os.close(folder)


def _make_file(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: int, name: str) -> None:
    source = archive.extractfile(member)
    assert source is not None  # noqa: S101 - it is a regular file
    _make_way(folder, name)
    descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as out:
        while piece := source.read(_PIECE):
            out.write(piece)
        out.flush()
        # The owner keeps the right to read, replace and remove what was fetched; nothing is setuid.
        os.fchmod(descriptor, (member.mode & 0o755) | 0o600)
        os.utime(descriptor, (member.mtime, member.mtime))


def _make_way(folder: int, name: str) -> None:
    """Remove what an earlier fetch left under the name, so that nothing is written through it."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in {errno.EISDIR, errno.EPERM}:
            raise _RefusedError("a directory of that name is there") from None
        raise


def _harmless(link: str, depth: int) -> str:
    """Return the target of a link that stays inside, whatever it is followed through.

    ``..`` may stand at the beginning only, at most ``depth`` times: the directories above the link are real ones.
    Behind a name it could start from another link's end, anywhere.
    """
    if link.startswith(_OUTPUTS):  # absolute, to the job's own files: it leads nowhere on this machine
        link = "../" * depth + link.removeprefix(_OUTPUTS)
    if link.startswith("/"):
        raise _RefusedError(f"it links to {link!r}, which is absolute")
    parts = [part for part in link.split("/") if part not in {"", "."}]
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    if ups > depth or ".." in parts[ups:]:
        raise _RefusedError(f"it links to {link!r}, which could lead out")
    return link
