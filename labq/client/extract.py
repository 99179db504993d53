"""Unpacking outputs on the machine of whoever fetches them (labq/safe_unpack.py says how, and why so)."""

from __future__ import annotations

import errno
import os
import tarfile
from collections.abc import Callable, Iterator

from labq.client.answer import NotHttpError
from labq.errors import StorageFullError, UnavailableError
from labq.safe_unpack import Keeping, Readable, RefusedError, open_archive, parts_of, place

#: Where outputs are in the container: absolute links of a job to its own files begin with it.
_OUTPUTS = "/outputs/"


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
        with open_archive(stream) as archive:
            for member in archive:
                try:
                    parts = parts_of(member.name)
                    if parts:
                        place(archive, member, root, parts, _KEEPING)
                except RefusedError as error:
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


def _harmless(link: str, depth: int) -> str:
    """Return the target of a link that stays inside, whatever it is followed through.

    ``..`` may stand at the beginning only, at most ``depth`` times: the directories above the link are real ones.
    Behind a name it could start from another link's end, anywhere.
    """
    if link.startswith(_OUTPUTS):  # absolute, to the job's own files: it leads nowhere on this machine
        link = "../" * depth + link.removeprefix(_OUTPUTS)
    if link.startswith("/"):
        raise RefusedError(f"it links to {link!r}, which is absolute")
    parts = [part for part in link.split("/") if part not in {"", "."}]
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    if ups > depth or ".." in parts[ups:]:
        raise RefusedError(f"it links to {link!r}, which could lead out")
    return link


#: The owner keeps the right to read, replace and remove what was fetched; nothing is setuid.
_KEEPING = Keeping(file_mode=lambda mode: (mode & 0o755) | 0o600, link=_harmless)
