"""Read a secret from a file of its own: Docker and systemd hand secrets out so."""

from __future__ import annotations

from pathlib import Path

from labq.errors import BadInputError


def read_secret(path: Path, variable: str) -> str:
    """Return what a file says, without its last line end; an empty file is an empty value, as of a variable.

    Args:
        path: the file.
        variable: that named it, for messages; no message says what the file holds.

    Raises:
        BadInputError: it cannot be read, is no text, or has more than one line.
    """
    try:
        said = path.read_text()
    except UnicodeDecodeError:
        raise BadInputError(
            f"{variable}={path}: it is no text", "write the secret alone, on one line"
        ) from None
    except OSError as error:
        raise BadInputError(
            f"{variable}={path}: {error.strerror}", "name a file that this program's user may read"
        ) from None
    said = said.removesuffix("\n").removesuffix("\r")
    if "\n" in said:
        raise BadInputError(
            f"{variable}={path} has more than one line", "write the secret alone, on one line"
        )
    return said
