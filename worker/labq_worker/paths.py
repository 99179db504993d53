"""Where the agent's files are. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labq import wire


@dataclass(frozen=True, slots=True)
class Paths:
    """The data directory. Shared with the server when both run on one machine (docs/architecture.md)."""

    root: Path

    def log(self, job_id: str, attempt: int) -> Path:
        """Return the log file of an attempt."""
        return self.root / "logs" / wire.run_log_name(job_id, attempt)

    def image_log(self, key: str, node: str, run: int) -> Path:
        """Return the log file of one preparation of an image."""
        return self.root / "logs" / wire.image_log_name(key, node, run)

    def outputs(self, job_id: str, attempt: int) -> Path:
        """Return the directory that the container sees as ``/outputs``."""
        return self.root / "outputs" / job_id / str(attempt)

    def home(self, job_id: str, attempt: int) -> Path:
        """Return the scratch directory that the container sees as its user's home."""
        return self.root / "homes" / job_id / str(attempt)

    def context(self, digest: str) -> Path:
        """Return the tar of a build context."""
        return self.root / "contexts" / f"{digest}.tar"
