"""The list of what is in a backup, and whether it still is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from labq.errors import BadInputError

NAME = "MANIFEST.json"
#: Of a finished backup's directory: UTC, so that names sort by age. An unfinished one has another.
FINISHED = re.compile(r"^\d{8}T\d{6}Z$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file."""

    #: bytes
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup."""

    #: seconds since the epoch
    made: float
    #: of the labq that made it
    version: str
    entries: Mapping[str, Entry]

    def write(self, directory: Path) -> None:
        """Write it; the backup is whole from then on."""
        (directory / NAME).write_text(json.dumps(asdict(self), indent=2) + "\n")


def entry_of(path: Path) -> Entry:
    """Return size and checksum of a file."""
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return Entry(path.stat().st_size, digest)


def read_manifest(directory: Path) -> Manifest:
    """Return what a backup should hold.

    Raises:
        BadInputError: it is no backup, or an unfinished one.
    """
    try:
        said = json.loads((directory / NAME).read_text())
        entries = {name: Entry(int(row["size"]), str(row["sha256"])) for name, row in said["entries"].items()}
        return Manifest(float(said["made"]), str(said["version"]), entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInputError(
            f"{directory} is no finished backup: {error}", f"name a directory with a whole {NAME}"
        ) from None


def check(directory: Path) -> Manifest:
    """Return what a backup holds, after reading all of it.

    Raises:
        BadInputError: naming the first file that is missing or not what was written.
    """
    found = read_manifest(directory)
    for name, wanted in found.entries.items():
        path = directory / name
        if Path(name).name != name or not path.is_file() or path.is_symlink() or entry_of(path) != wanted:
            raise BadInputError(
                f"{path} is missing, or is not what the backup wrote",
                "take another backup: this one is broken",
            )
    return found


def finished(root: Path) -> list[Path]:
    """Return the finished backups below a directory, the oldest first."""
    found = [each for each in root.iterdir() if FINISHED.match(each.name)] if root.is_dir() else []
    return sorted(each for each in found if (each / NAME).is_file())
