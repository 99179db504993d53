"""Unpacking what a job wrote: nothing of a tar may land outside the directory it is for.

A job is not trusted, and whoever unpacks may be root. So no path of the archive is ever given to the kernel as a
whole (what ``realpath`` says of it may differ from what the kernel does, and ``tarfile``'s own filters rely on it):
each directory is opened by its name in the one above, links refused, and files are made in it, never written through.

Lives here: the walk. What is kept of a member (its mode, its owner, where its links lead) is the caller's to say.
"""

from __future__ import annotations

import errno
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

_PIECE = 2**20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Readable(Protocol):
    """What ``tarfile`` needs of a stream."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""


class RefusedError(Exception):
    """A member that is left out; says why."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of a member."""

    #: mode of a file, of what the archive says
    file_mode: Callable[[int], int]
    #: where a link leads, of what the archive says and how many directories it lies deep; may raise RefusedError
    link: Callable[[str, int], str]
    #: the same of a directory; None = as the umask says
    directory_mode: Callable[[int], int] | None = None
    #: uid and gid that all is given to; None = it stays whose it is
    owner: tuple[int, int] | None = None


def open_archive(stream: Readable) -> tarfile.TarFile:
    """Return the archive of an uncompressed stream, read once from its beginning.

    Raises:
        tarfile.TarError: it is no tar.
    """
    return tarfile.open(fileobj=stream, mode="r|", bufsize=2**18)  # type: ignore[call-overload, no-any-return]


def parts_of(name: str) -> list[str]:
    """Return the names of a member's path; empty for the top itself.

    Raises:
        RefusedError: it is absolute, or has ``..``.
    """
    if name.startswith("/"):
        raise RefusedError("its path is absolute")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise RefusedError("its path has '..'")
    return parts


def place(
    archive: tarfile.TarFile, member: tarfile.TarInfo, root: int, parts: list[str], keeping: Keeping
) -> None:
    """Put one member where it belongs; what is there under its name is replaced.

    Args:
        archive: at this member.
        member: the member.
        root: open directory that all lands in.
        parts: of :func:`parts_of`, at least one.
        keeping: what of it is kept.

    Raises:
        RefusedError: it is neither file, directory nor link, or its way leads through a link.
        OSError: the system refuses it.
    """
    folder, name = os.dup(root), parts[-1]
    try:
        for part in parts[:-1]:
            folder = _enter(folder, part, keeping)
        if member.isdir():
            made = _enter(os.dup(folder), name, keeping, replace_link=True)
            try:
                if keeping.directory_mode is not None:
                    os.fchmod(made, keeping.directory_mode(member.mode))
            finally:
                os.close(made)
        elif member.isreg():
            _make_file(archive, member, folder, name, keeping)
        elif member.issym():
            link = keeping.link(member.linkname, len(parts) - 1)
            _make_way(folder, name)
            os.symlink(link, name, dir_fd=folder)
            if keeping.owner is not None:
                os.chown(name, *keeping.owner, dir_fd=folder, follow_symlinks=False)
        else:
            raise RefusedError("it is neither a file, a directory nor a symbolic link")
    finally:
        os.close(folder)


def _enter(folder: int, name: str, keeping: Keeping, *, replace_link: bool = False) -> int:
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
                raise RefusedError(f"its way leads through {name!r}, which is no directory") from None
            os.unlink(name, dir_fd=folder)
        os.mkdir(name, 0o755, dir_fd=folder)
        made = os.open(name, _DIRECTORY, dir_fd=folder)
        if keeping.owner is not None:
            os.fchown(made, *keeping.owner)
        return made
    finally:
        os.close(folder)


def _make_file(
    archive: tarfile.TarFile, member: tarfile.TarInfo, folder: int, name: str, keeping: Keeping
) -> None:
    source = archive.extractfile(member)
    assert source is not None  # noqa: S101 - it is a regular file
    _make_way(folder, name)
    descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as out:
        while piece := source.read(_PIECE):
            out.write(piece)
        out.flush()
        if keeping.owner is not None:
            os.fchown(descriptor, *keeping.owner)
        os.fchmod(descriptor, keeping.file_mode(member.mode))
        os.utime(descriptor, (member.mtime, member.mtime))


def _make_way(folder: int, name: str) -> None:
    """Remove what is there under the name, so that nothing is written through it."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in {errno.EISDIR, errno.EPERM}:
            raise RefusedError("a directory of that name is there") from None
        raise
