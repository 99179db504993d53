"""The wheels of labq that nodes install: what lies in one directory, with checksums."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labq import __version__
from labq.errors import NotFoundError

#: A wheel's name (PEP 427): name, version, perhaps a build, python, abi, platform.
_WHEEL = re.compile(
    r"(?P<name>labq)-(?P<version>[A-Za-z0-9_.!+]+)(?:-\d[A-Za-z0-9_.]*)?-[\w.]+-[\w.]+-[\w.]+\.whl"
)


@dataclass(frozen=True, slots=True)
class Package:
    """One wheel."""

    name: str
    version: str
    file: str
    sha256: str
    #: bytes
    size: int


class Packages:
    """The wheels of one directory. Whatever else is there is not served."""

    def __init__(self, directory: Path) -> None:
        """Look there at each question; the directory need not exist."""
        self._directory = directory
        #: path, time of change in ns, bytes -> SHA-256: a wheel is hashed once
        self._known: dict[tuple[str, int, int], str] = {}

    def all(self) -> list[Package]:
        """Return the wheels, oldest file first; last of all the one of this server's own version: nodes install the last."""
        found = []
        for path in self._directory.glob("labq-*.whl"):
            match = _WHEEL.fullmatch(path.name)
            if match is None or path.is_symlink() or not path.is_file():
                continue
            with suppress(FileNotFoundError):  # it was replaced at this moment
                stat = path.stat()
                package = Package(
                    match["name"], match["version"], path.name, self._sha256(path), stat.st_size
                )
                found.append((stat.st_mtime_ns, package))
        found.sort(key=lambda row: (row[1].version == __version__, row[0], row[1].file))
        return [package for _, package in found]

    def get(self, name: str) -> tuple[Path, Package]:
        """Return the path and the row of one wheel.

        Raises:
            NotFoundError: there is none of that name; no name leads out of the directory.
        """
        packages = {package.file: package for package in self.all()}
        if name not in packages:
            there = ", ".join(packages) or "none: see LABQ_PACKAGES_DIR and scripts/wheel"
            raise NotFoundError(f"there is no package {name[:200]!r}", f"there are: {there}")
        return self._directory / name, packages[name]

    def _sha256(self, path: Path) -> str:
        stat = path.stat()
        key = (path.name, stat.st_mtime_ns, stat.st_size)
        if key not in self._known:
            with path.open("rb") as handle:
                self._known[key] = hashlib.file_digest(handle, "sha256").hexdigest()
        return self._known[key]


def package_view(package: Package) -> dict[str, Any]:
    """Return the row as the API shows it."""
    return asdict(package)
