"""Processor time and memory of containers and logins, from cgroups (v1, v2, both drivers).

``docker stats`` takes a second for each container and is not asked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CONTAINER = re.compile(r"^(?:[a-z-]+-)?([0-9a-f]{64})(?:\.scope)?$")
_SLICE = re.compile(r"^user-(\d{1,10})\.slice$")
_MANAGER = re.compile(r"^user@(\d{1,10})\.service$")
#: Levels below which nobody puts a container (nested engines included).
_DEEPEST = 12


@dataclass(frozen=True, slots=True)
class CgroupUse:
    """What one container, or all of one login's, used."""

    #: path below the hierarchy
    path: str
    #: 64-digit id; "" = a login's slice
    container: str
    #: uid of the login's slice that this is, or is in; None = in none
    slice_uid: int | None
    #: uid of ``user@<uid>.service`` when it lies in the subtree that this user may shape at will; None = it does not
    delegated: int | None
    #: seconds
    cpu: float | None
    #: bytes: working set, that is usage without inactive file pages (as cAdvisor counts it)
    memory: int | None


class Cgroups:
    """The hierarchies of this machine."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup")) -> None:
        """Find them below ``root``."""
        self._unified = (root / "cgroup.controllers").exists()
        self._cpu = root if self._unified else _first(root, "cpuacct", "cpu,cpuacct")
        self._memory = root if self._unified else root / "memory"

    def look(self) -> list[CgroupUse]:
        """Return the use of every container and login, outermost containers first.

        Raises:
            OSError: there is no hierarchy.
        """
        found = []
        for path, container, slice_uid, delegated in _walk(self._cpu):
            cpu = _unified_cpu(self._cpu / path) if self._unified else _v1_cpu(self._cpu / path)
            memory = (
                _unified_memory(self._memory / path) if self._unified else _v1_memory(self._memory / path)
            )
            if cpu is not None or memory is not None:
                found.append(CgroupUse(path, container, slice_uid, delegated, cpu, memory))
        return found


def _first(root: Path, *names: str) -> Path:
    return next((root / name for name in names if (root / name).is_dir()), root / names[0])


def _walk(root: Path) -> Iterator[tuple[str, str, int | None, int | None]]:
    """Yield path, container id or "", uid of the login, uid of its manager, of what counts; nothing inside a container."""
    os.stat(root)  # says that there is none
    stack: list[tuple[str, int | None, int | None, int]] = [("", None, None, 0)]
    while stack:
        path, slice_uid, delegated, depth = stack.pop()
        try:
            entries = [entry.name for entry in os.scandir(root / path) if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue  # it has just ended
        for name in sorted(entries):
            below = f"{path}/{name}" if path else name
            if match := _CONTAINER.match(name):
                # podman's monitor lives in a scope of the same form
                if not name.startswith("libpod-conmon-"):
                    yield below, match[1], slice_uid, delegated
                continue
            uid, manager = slice_uid, delegated
            # Below his manager a user makes what he likes, also a cgroup of another person's name.
            if delegated is None and (match := _SLICE.match(name)):
                uid = int(match[1])
                yield below, "", uid, None
            elif delegated is None and (match := _MANAGER.match(name)):
                manager = int(match[1])
            if depth < _DEEPEST:
                stack.append((below, uid, manager, depth + 1))


def _unified_cpu(path: Path) -> float | None:
    found = _field(path / "cpu.stat", "usage_usec")
    return None if found is None else found / 1e6


def _unified_memory(path: Path) -> int | None:
    used = _number(path / "memory.current")
    return None if used is None else max(0, used - (_field(path / "memory.stat", "inactive_file") or 0))


def _v1_cpu(path: Path) -> float | None:
    found = _number(path / "cpuacct.usage")
    return None if found is None else found / 1e9


def _v1_memory(path: Path) -> int | None:
    used = _number(path / "memory.usage_in_bytes")
    return None if used is None else max(0, used - (_field(path / "memory.stat", "total_inactive_file") or 0))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _field(path: Path, name: str) -> int | None:
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        return None
    return None
