"""``python -m labq_scheduler.backup make|check|list|restore``: see the package. As root, on the control machine."""

from __future__ import annotations

import argparse
import fcntl
import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from labq.clock import now
from labq.errors import ConflictError, UnavailableError
from labq.program import exit_status
from labq_scheduler.backup.make import make, prune, write_metrics
from labq_scheduler.backup.manifest import check, finished, read_manifest
from labq_scheduler.backup.restore import PARTS, finish, restore
from labq_scheduler.backup.stack import Stack


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(
        "python -m labq_scheduler.backup", description="Backups of a control machine."
    )
    verbs = found.add_subparsers(dest="verb", required=True)
    new = verbs.add_parser("make", help="take one, remove old ones, tell node_exporter")
    new.add_argument("root", type=Path, help="directory of all backups")
    new.add_argument("--keep", type=int, default=14, metavar="N", help="backups that stay; default: 14")
    new.add_argument("--lab-dir", type=Path, default=Path("/etc/labq/lab"), metavar="DIR")
    new.add_argument("--textfile-dir", type=Path, metavar="DIR", help="of node_exporter's textfile collector")
    verbs.add_parser("list", help="say which there are").add_argument("root", type=Path)
    verbs.add_parser("check", help="read one through").add_argument("backup", type=Path)
    back = verbs.add_parser("restore", help="put one in the place of what is there, which is kept")
    back.add_argument("backup", type=Path)
    back.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts; default: all")
    back.add_argument("--force", action="store_true", help="even when jobs run")
    for each in (new, back):
        each.add_argument(
            "--control-dir",
            type=Path,
            default=Path("/opt/labq-control"),
            metavar="DIR",
            help="of the files of compose",
        )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Do it; return the exit status."""
    said = parser().parse_args(argv)
    return exit_status(lambda: _do(said))


def _do(said: argparse.Namespace) -> None:
    try:
        _VERBS[said.verb](said)
    except OSError as error:
        where = error.filename2 or error.filename
        raise UnavailableError(
            f"{where}: {error.strerror}" if where else str(error.strerror or error),
            "make room, or mend that; what was there is as it was, and no half of a backup is left",
        ) from error
    except sqlite3.Error as error:
        raise UnavailableError(
            f"the records could not be copied: {error}",
            "make room where backups are; if they are damaged, look at records.sqlite",
        ) from error


def _make(said: argparse.Namespace) -> None:
    os.umask(0o077)
    said.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (said.root / ".lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"another backup is being taken in {said.root}", "wait for it") from None
        made = make(Stack(said.control_dir), said.root, said.lab_dir, now=now())
        manifest = check(made)
        if said.textfile_dir is not None and said.textfile_dir.is_dir():
            write_metrics(said.textfile_dir, manifest.made, dict(manifest.entries))
        removed = prune(said.root, said.keep, made)
    size = sum(each.size for each in manifest.entries.values())
    sys.stdout.write(
        f"{made}: {len(manifest.entries)} files, {size} bytes; {len(removed)} old ones removed\n"
    )


def _list(said: argparse.Namespace) -> None:
    for each in finished(said.root):
        found = read_manifest(each)
        size = sum(one.size for one in found.entries.values())
        sys.stdout.write(f"{each}  labq {found.version}  {size} bytes  {', '.join(found.entries)}\n")


def _check(said: argparse.Namespace) -> None:
    found = check(said.backup)
    sys.stdout.write(f"{said.backup}: whole, {', '.join(found.entries)}\n")


def _restore(said: argparse.Namespace) -> None:
    os.umask(0o077)
    stack = Stack(said.control_dir)
    with (said.control_dir / ".restore-lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"another restore is going on in {said.control_dir}", "wait for it") from None
        if finish(stack):
            sys.stdout.write(
                "a restore that was interrupted is finished now; ask again if it was not this one\n"
            )
            return
        kept = restore(stack, said.backup, said.only, force=said.force, now=now())
    sys.stdout.write("restored; what was there is kept until you remove it:\n")
    sys.stdout.write("".join(f"  {each}\n" for each in kept))


_VERBS = {"make": _make, "list": _list, "check": _check, "restore": _restore}

if __name__ == "__main__":
    sys.exit(main())
