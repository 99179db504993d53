"""Directories for one attempt: outputs, home, secrets, mounts. I/O on the node's own disk only."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from labq.job import Job
from labq.spec_values import Mount
from labq_worker.config import AllowedMount
from labq_worker.container_args import Bind, Places
from labq_worker.paths import Paths

#: Memory, not disk: a secret must not be found on a disk that is sold.
SECRET_ROOTS = ("/run", "/dev/shm")  # noqa: S108 - only as the parent of a private directory

#: Not the system's own words: "No such file or directory" also means that a command is not in an image.
_REASONS = {
    errno.ENOENT: "there is no such directory",
    errno.ENOTDIR: "there is no such directory",
    errno.EACCES: "the agent may not look there",
    errno.ELOOP: "its symbolic links go round in a circle",
}


class PlaceError(Exception):
    """Something that the attempt needs on this node cannot be had; carries a sentence for its owner."""


class PlaceMaker:
    """Makes and removes what attempts need on this node."""

    def __init__(self, paths: Paths, allowed: Iterable[AllowedMount], secrets_name: str) -> None:
        """Use the data directory.

        Args:
            paths: the data directory.
            allowed: what jobs may mount.
            secrets_name: name of the private directory for secrets, its own for each agent.
        """
        self._paths = paths
        self._allowed = tuple(allowed)
        self._secrets = _secret_root() / secrets_name

    def make(self, job: Job, secrets: Mapping[str, str]) -> Places:
        """Make what the job's present attempt needs.

        Raises:
            PlaceError: with the sentence that says what is wrong.
        """
        mounts = tuple(check_mount(mount, self._allowed) for mount in job.spec.mounts)
        missing = [name for name in job.spec.secrets if name not in secrets]
        if missing:
            raise PlaceError(f"the value of its secret {missing[0]} is gone; submit it again")
        outputs = self._paths.outputs(job.id, job.attempt)
        home = self._paths.home(job.id, job.attempt)
        try:
            _own_directory(outputs, 0o750, job)
            _own_directory(home, 0o700, job)
            kept = self._write_secrets(job, secrets) if job.spec.secrets else ""
        except PermissionError as error:
            raise PlaceError(
                f"the agent may not make {error.filename} for uid {job.uid}; "
                "it must run as root to run jobs of other people"
            ) from None
        except OSError as error:
            raise PlaceError(
                f"no room for its files on this node: {error.strerror} ({error.filename})"
            ) from None
        return Places(str(outputs), str(home), kept, mounts)

    def _write_secrets(self, job: Job, values: Mapping[str, str]) -> str:
        self._secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._secrets / f"{job.id}-{job.attempt}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        for name in job.spec.secrets:
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            with os.fdopen(descriptor, "w") as handle:
                os.fchown(descriptor, job.uid, job.gid)
                handle.write(values[name])
        os.chown(folder, job.uid, job.gid)
        return str(folder)

    def remove_scratch(self, job_id: str, attempt: int) -> None:
        """Remove home and secrets of an attempt; the outputs stay."""
        shutil.rmtree(self._secrets / f"{job_id}-{attempt}", ignore_errors=True)
        home = self._paths.home(job_id, attempt)
        shutil.rmtree(home, ignore_errors=True)
        _remove_empty(home.parent)

    def remove_leftovers(self, in_work: Callable[[], set[str]]) -> None:
        """Remove scratch of jobs that nobody works on: an agent died before it could.

        Args:
            in_work: returns the ids of jobs in work; asked after looking, so that what is made meanwhile stays.
        """
        homes = [home for job in _entries(self._paths.root / "homes") for home in _entries(job)]
        secrets = [folder for folder in _entries(self._secrets) if "-" in folder.name]
        keep = in_work()
        for home in homes:
            if home.parent.name not in keep:
                shutil.rmtree(home, ignore_errors=True)
                _remove_empty(home.parent)
        for folder in secrets:
            if folder.name.rpartition("-")[0] not in keep:
                shutil.rmtree(folder, ignore_errors=True)


def check_mount(mount: Mount, allowed: Iterable[AllowedMount]) -> Bind:
    """Return the mount with its source resolved, when this node allows it.

    The source is resolved before it is compared, so that a symbolic link does not lead out of what is allowed;
    the engine is given the resolved path.

    Raises:
        PlaceError: not allowed, not there, or to be written where only reading is allowed.
    """
    try:
        source = os.path.realpath(mount.source, strict=True)
    except OSError as error:
        why = _REASONS.get(error.errno or 0, "it cannot be looked up")
        raise PlaceError(f"its mount {mount.source} is not on this node: {why}") from None
    roots = [(os.path.realpath(row.path), row) for row in allowed]
    # The longest root decides: /data:ro with /data/scratch:rw inside it.
    inside = max(
        ((root, row) for root, row in roots if _is_inside(source, root)),
        key=lambda pair: len(pair[0]),
        default=None,
    )
    if inside is None:
        legal = ", ".join(row.path for _, row in roots) or "nothing"
        led = f" (it leads to {source})" if source != mount.source.rstrip("/") else ""
        raise PlaceError(
            f"its mount {mount.source}{led} is not allowed on this node; allowed: {legal} (LABQ_MOUNTS)"
        )
    if mount.writable and not inside[1].writable:
        raise PlaceError(f"its mount {mount.source} may only be read on this node; write {mount.source}:…:ro")
    return Bind(source, mount.target, mount.writable)


def _is_inside(path: str, root: str) -> bool:
    return root == "/" or path == root or path.startswith(root + "/")


def _own_directory(path: Path, mode: int, job: Job) -> None:
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    path.chmod(mode)
    if (os.geteuid(), os.getegid()) != (job.uid, job.gid):
        os.chown(path, job.uid, job.gid)


def _secret_root() -> Path:
    for root in SECRET_ROOTS:
        if os.path.ismount(root) and os.access(root, os.W_OK):
            return Path(root)
    return Path(SECRET_ROOTS[-1])


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing when it has gone meanwhile: jobs end while we look."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove_empty(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:
        return
