"""The ssh host keys of the machines: which are new, and forgetting one."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path


def read(path: Path) -> set[str]:
    """Return the lines of a known_hosts file; none when there is no file."""
    return {line for line in path.read_text().splitlines() if line.strip()} if path.exists() else set()


def new(before: set[str], path: Path) -> list[tuple[str, str]]:
    """Return (host, fingerprint) of the keys that came since ``before``, as ``ssh-keygen -l`` prints them."""
    found = []
    for line in sorted(read(path) - before):
        words = line.split()
        if len(words) >= 3 and not line.startswith(("#", "@")):
            found.append((words[0], fingerprint(words[2])))
    return found


def fingerprint(key: str) -> str:
    """Return the fingerprint of a key in base64.

    >>> fingerprint("AAAA")
    'SHA256:cJ6AyISHokEeHuTfufIqhhSS0gxHZRUMDHlKvXD4FHw'
    """
    try:
        digest = hashlib.sha256(base64.b64decode(key)).digest()
    except ValueError:
        return "unreadable"
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def forget(path: Path, host: str, port: int) -> bool:
    """Forget the keys of a host; return whether any were known."""
    before = read(path)
    name = f"[{host}]:{port}" if port not in {0, 22} else host
    if path.exists():
        subprocess.run(["ssh-keygen", "-R", name, "-f", str(path)], capture_output=True, check=False)
        path.with_name(f"{path.name}.old").unlink(missing_ok=True)
    return read(path) != before
