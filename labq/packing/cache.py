"""Remembered digests: a second submit of an unchanged tree reads no contents.

One small file for each directory and Dockerfile, so the cache does not grow with use. What it
remembers is bound to every file's size, times and inode, and nothing young is remembered: a
file that changes twice within one tick of the file system's clock looks unchanged (the "racy
git" problem).
"""

from __future__ import annotations

import contextlib
import hashlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from labq.packing.walk import Entry

RACY_NS = 2_000_000_000  # ns; the coarsest clock of a file system in use (FAT) ticks every 2 s
_VERSION = b"labq context 1\0"  # changes whenever the same tree would give another tar


def manifest_key(found: Iterable[Entry]) -> str:
    """Hash what `stat` says about a context.

    Args:
        found: The entries, in the order of the tar.

    Returns:
        64 hexadecimal digits that change if anything in the tar can have changed.
    """
    state = hashlib.sha256(_VERSION)
    for e in found:
        head = b"%d %d %s%o" % (len(e.path), len(e.target), e.kind, e.mode)
        # A directory's times change with every excluded file in it; only its name is packed.
        body = b" %d %d %d %d %d" % (e.size, e.mtime_ns, e.ctime_ns, e.ino, e.dev)
        state.update(head + (body if e.kind == b"0" else b"") + b" " + e.path + e.target)
    return state.hexdigest()


def racy(found: Iterable[Entry], now: float) -> bool:
    """Whether a file is too young for its times to prove that it has not changed.

    Args:
        found: The entries.
        now: A time before the contents were read, in seconds since the epoch.

    Returns:
        True if a file changed in the last 2 s, or has a time in the future.
    """
    limit = int(now * 1e9) - RACY_NS
    return any(e.kind == b"0" and max(e.mtime_ns, e.ctime_ns) >= limit for e in found)


def _file(cache_dir: str | os.PathLike[str], root: bytes, dockerfile: str) -> str:
    place = os.path.realpath(root) + b"\0" + os.fsencode(dockerfile)
    return os.path.join(os.fspath(cache_dir), hashlib.sha256(place).hexdigest()[:32])


def lookup(cache_dir: str | os.PathLike[str], root: bytes, dockerfile: str, key: str) -> str:
    """The digest remembered for a key, or an empty string."""
    try:
        with open(_file(cache_dir, root, dockerfile), encoding="ascii") as file:
            words = file.read(200).split()
    except (OSError, ValueError):
        return ""
    if len(words) != 2 or words[0] != key or len(words[1]) != 64:
        return ""
    return words[1] if all(c in "0123456789abcdef" for c in words[1]) else ""


def store(cache_dir: str | os.PathLike[str], root: bytes, dockerfile: str, key: str, digest: str) -> None:
    """Remember a digest; a cache that cannot be written is not worth a message."""
    path = _file(cache_dir, root, dockerfile)
    temporary = f"{path}.{os.getpid()}"
    try:
        os.makedirs(cache_dir, mode=0o700, exist_ok=True)
        with open(temporary, "w", encoding="ascii") as file:
            file.write(f"{key} {digest}\n")
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
