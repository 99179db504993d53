"""Everybody's command lines while something goes on: what a secret must not be in."""

import contextlib
import threading
from pathlib import Path

#: Seconds between two looks; ssh, python and a module each live longer.
EVERY = 0.1


class ProcessWatch:
    """Collects command lines of all processes of this machine, those in containers included, within `with`."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._inside = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "ProcessWatch":
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                threading.Thread(target=self._look, name="process-watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1

    def _look(self) -> None:
        pause = threading.Event()
        known: dict[str, str] = {}
        while self._inside:
            for path in Path("/proc").iterdir():
                if not path.name.isdigit() or path.name in known:
                    continue
                with contextlib.suppress(OSError):
                    born = (path / "stat").read_text().rpartition(")")[2].split()[19]
                    line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    # Before its exec a child shows its parent's words, so each is looked at twice.
                    if f"{born} {line}" in self.seen:
                        known[path.name] = born
                    self.seen.add(f"{born} {line}")
            pause.wait(EVERY)
