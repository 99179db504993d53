"""Writing a file at once: no reader, and nobody after a crash, ever sees half of it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, text: str, *, mode: int, sync: bool = False) -> None:
    """Write ``path`` under another name beside it, then rename.

    Args:
        path: the file; its directory exists.
        text: what it is to say.
        mode: of the file, whatever the umask. Nobody else may read it before it is whole.
        sync: also after a power cut it is the old file or the new one, never an empty one.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        os.fchmod(descriptor, mode)
        handle.write(text)
        if sync:
            handle.flush()
            os.fsync(descriptor)
    temporary.replace(path)
