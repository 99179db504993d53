"""The largest amount of memory that a container used, from its cgroup. Best effort: 0 = not known."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
#: The file of version 2 (kernel 5.19 and later) and that of version 1.
_FILES = ("memory.peak", "memory.max_usage_in_bytes")


def peak_file(container: str, parent: str, pid: int = 0) -> Path | None:
    """Return the file that tells it; None when there is none.

    Args:
        container: the engine's id.
        parent: the cgroup parent that the container was given.
        pid: a process of the container; 0 = look in the usual places only.
    """
    tail = f"docker-{container}.scope" if parent.endswith(".slice") else container
    middle = f"labq.slice/{parent}" if parent.endswith(".slice") else parent.strip("/")
    folders = [_ROOT / "memory" / middle / tail, _ROOT / middle / tail]
    folders += _of_process(pid) if pid else []
    for folder in folders:
        for name in _FILES:
            if (folder / name).exists():
                return folder / name
    return None


def read_peak(path: Path) -> int:
    """Return the bytes that the file says; 0 when it has gone with its container."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _of_process(pid: int) -> list[Path]:
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found.append(_ROOT / path.strip("/"))
        elif "memory" in controllers.split(","):
            found.append(_ROOT / "memory" / path.strip("/"))
    return found
