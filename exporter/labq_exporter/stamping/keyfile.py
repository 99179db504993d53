"""The file with the key: made once, atomically, readable for root alone."""

from __future__ import annotations

import os
from pathlib import Path

from labq.errors import UnavailableError
from labq.holding.seal import KEY_BYTES, read_key


def key_at(path: Path) -> bytes:
    """Return the key in ``path``, having made it where it was missing.

    Raises:
        UnavailableError: It can neither be read nor made.
        BadInputError: The file is not a key, or everybody could read it.
    """
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(path)
    except OSError as error:
        raise UnavailableError(
            f"the stamp key {path} cannot be made: {error.strerror}", "choose another place: --key PATH"
        ) from None
    return read_key(path)


def _make(path: Path) -> None:
    new = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, os.urandom(KEY_BYTES))
        os.fsync(fd)
        # Not rename: of two that start at once, both must end with the key of the first.
        os.link(new, path)
    except FileExistsError:
        pass
    finally:
        os.close(fd)
        new.unlink()
