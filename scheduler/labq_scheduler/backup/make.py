"""Taking a backup while everything runs."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import tarfile
import time
from contextlib import closing
from pathlib import Path

from labq import __version__
from labq.errors import ConflictError
from labq.whole_file import write_whole
from labq_scheduler.backup.manifest import NAME, Entry, Manifest, entry_of, finished
from labq_scheduler.backup.stack import Stack

_PARTIAL = ".partial-"
#: Of the lab directory: held by who runs, and what runs left.
_NOT_OF_LAB = {"locks", "runs"}


def make(stack: Stack, root: Path, lab_dir: Path, *, now: float) -> Path:
    """Take a backup; return its directory.

    Args:
        stack: what is backed up.
        root: where backups are.
        lab_dir: inventory and keys of provisioning; may be missing.
        now: seconds since the epoch; names it.

    Raises:
        ConflictError: there is one of this second.
    """
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    if (root / name).exists():
        raise ConflictError(f"{root / name} is there already", "wait a second")
    partial = root / f"{_PARTIAL}{name}"
    for stale in root.glob(f"{_PARTIAL}*"):
        shutil.rmtree(stale)
    partial.mkdir(mode=0o700)
    try:
        _collect(stack, partial, lab_dir)
        entries = {each.name: entry_of(each) for each in sorted(partial.iterdir())}
        Manifest(now, __version__, entries).write(partial)
        for each in (*(partial / one for one in (*entries, NAME)), partial):
            _sync(each)
        partial.rename(root / name)
        _sync(root)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return root / name


def _collect(stack: Stack, target: Path, lab_dir: Path) -> None:
    # Redis before the records: what the recorder had not yet written when Redis was copied, it writes after a restore.
    # The other way round it would believe rows to be there that are not.
    dump = stack.dump_redis()
    try:
        shutil.copyfile(dump, target / "redis.rdb")
    finally:
        dump.unlink(missing_ok=True)
    if (data := stack.volume("labq")) is not None:
        if (data / "records.sqlite").is_file():
            copy_sqlite(data / "records.sqlite", target / "records.sqlite")
        if (data / "rules.toml").is_file():
            shutil.copyfile(data / "rules.toml", target / "rules.toml")
        _index(data, target / "outputs.jsonl.gz")
    if (grafana := stack.volume("grafana")) is not None and any(grafana.iterdir()):
        _tar_grafana(grafana, target / "grafana.tar")
    with tarfile.open(target / "control.tar", "w") as tar:
        for name in (".env", "secrets"):
            tar.add(stack.directory / name, name)
    if lab_dir.is_dir():
        with tarfile.open(target / "lab.tar", "w") as tar:
            for each in sorted(lab_dir.iterdir()):
                if each.name not in _NOT_OF_LAB:
                    tar.add(each, each.name)


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that others are writing, as it is at one moment.

    Raises:
        sqlite3.DatabaseError: the copy is damaged, so the database is.
    """
    # Read-only: this program has no business in a database that somebody else writes.
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=60)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new, pages=4096, sleep=0.05)
        (said,) = new.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise sqlite3.DatabaseError(f"{source}: {said}")


def _index(data: Path, target: Path) -> None:
    with gzip.open(target, "wt") as lines:
        for top in ("outputs", "logs"):
            for folder, _, names in os.walk(data / top):
                for name in sorted(names):
                    path = Path(folder, name)
                    try:
                        found = path.lstat()
                    except FileNotFoundError:  # the janitor's, meanwhile
                        continue
                    row = {
                        "path": str(path.relative_to(data)),
                        "size": found.st_size,
                        "mtime": round(found.st_mtime, 3),
                    }
                    lines.write(json.dumps(row, ensure_ascii=True) + "\n")


def _tar_grafana(volume: Path, target: Path) -> None:
    copy = target.with_name("grafana.db")
    with tarfile.open(target, "w") as tar:
        for each in sorted(volume.iterdir()):
            if not each.name.startswith("grafana.db"):
                tar.add(each, each.name)
        if (volume / "grafana.db").is_file():
            copy_sqlite(volume / "grafana.db", copy)
            owner = (volume / "grafana.db").stat()
            os.chown(copy, owner.st_uid, owner.st_gid)
            copy.chmod(owner.st_mode & 0o777)
            tar.add(copy, "grafana.db")
            copy.unlink()


def prune(root: Path, keep: int, made: Path) -> list[Path]:
    """Remove all but the newest ``keep`` finished backups; return what was removed.

    Args:
        root: where backups are.
        keep: how many stay, at least one.
        made: the one that was just taken, which stays though the clock was wrong, and others bear later names.
    """
    others = [each for each in finished(root) if each != made]
    old = others[: max(0, len(others) - max(0, keep - 1))]
    for each in old:
        shutil.rmtree(each)
    return old


def write_metrics(directory: Path, made: float, entries: dict[str, Entry] | None = None) -> None:
    """Tell node_exporter's textfile collector of a backup that succeeded.

    Args:
        directory: of the collector.
        made: seconds since the epoch.
        entries: what it holds, for its size.
    """
    size = sum(each.size for each in (entries or {}).values())
    text = (
        "# HELP labq_backup_last_success_timestamp_seconds When the last backup that succeeded was taken.\n"
        "# TYPE labq_backup_last_success_timestamp_seconds gauge\n"
        f"labq_backup_last_success_timestamp_seconds {made:.0f}\n"
        "# HELP labq_backup_size_bytes Size of that backup.\n"
        "# TYPE labq_backup_size_bytes gauge\n"
        f"labq_backup_size_bytes {size}\n"
    )
    write_whole(directory / "labq_backup.prom", text, mode=0o644)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
