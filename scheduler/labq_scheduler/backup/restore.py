"""The way back: what was saved takes the place of what is there, which is kept beside it."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from labq import __version__
from labq.errors import BadInputError, ConflictError, LabqError
from labq.node import is_older
from labq.store import keys
from labq.whole_file import write_whole
from labq_scheduler.backup.manifest import check
from labq_scheduler.backup.stack import Stack

PARTS = ("redis", "records", "rules", "grafana", "secrets")
_FILES = {
    "redis": "redis.rdb",
    "records": "records.sqlite",
    "rules": "rules.toml",
    "grafana": "grafana.tar",
    "secrets": "control.tar",
}
#: Numbers of jobs and runs that nobody gets after a restore, and one more for each second since the backup was taken:
#: more than a lab asks for in that time. Whoever had one of them (an agent that still brings its log, a person's note,
#: a file of outputs) means a job that is forgotten, and must not find another person's in its place.
LEFT_OUT = 10_000
#: The name of the one append-only file of Redis 6, whose beginning may be a copy as a backup holds it. Redis 7 takes it
#: over into its directory. A dump.rdb would not be read: append-only files count, even when there are none.
AOF = "appendonly.aof"
#: Renames that have begun; what a killed restore left is finished by the next.
PLAN = ".restore-plan.json"

Rename = tuple[Path, Path]


def restore(stack: Stack, backup: Path, parts: Iterable[str], *, force: bool, now: float) -> list[Path]:
    """Put a backup in the place of what is there.

    Args:
        stack: the control machine.
        backup: directory of a backup.
        parts: of ``PARTS``; those that the backup does not hold are left out.
        force: even when jobs hold nodes, or nobody can say.
        now: seconds since the epoch; names what is kept.

    Returns:
        Where what was replaced is kept.

    Raises:
        BadInputError: the backup is broken, or holds none of these parts.
        ConflictError: jobs hold nodes, or Redis does not say; or the backup is of a newer labq.
    """
    held = check(backup)
    chosen = [part for part in parts if _FILES[part] in held.entries]
    if not chosen:
        raise BadInputError(
            f"{backup} holds none of {', '.join(parts)}", f"it holds {', '.join(held.entries)}"
        )
    if not force:
        _refuse_newer(backup, held.version)
        _refuse_at_work(stack)
    suffix = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    renames = []
    staged: list[Path] = []
    try:
        for part in chosen:
            more = _STAGE[part](stack, backup / _FILES[part], suffix, staged)
            renames += more
            if part == "redis":
                skip_numbers(staged[-1] / AOF, int(max(0.0, now - held.made)) + LEFT_OUT)
        if not force:
            _refuse_at_work(stack)  # copying took a while, and the server was there
        running = sorted(stack.running())
        # Before anything stops: whatever dies from here on, the next restore starts it again.
        _write_plan(stack, renames, running)
    except BaseException:
        _remove(staged)
        raise
    try:
        stack.stop(running)
        _advance(renames)
    except (OSError, LabqError):
        for old, new in reversed(renames):
            if new.exists() and not old.exists():
                new.rename(old)
        (stack.directory / PLAN).unlink()
        _remove(staged)
        stack.start(running)
        raise
    (stack.directory / PLAN).unlink()
    stack.start(running)
    stack.restart_provisioner()
    return [new for _, new in renames if f".replaced-{suffix}" in new.name and new.exists()]


def finish(stack: Stack) -> bool:
    """Finish what a restore that was killed amid its renames began; return whether there was one."""
    plan = stack.directory / PLAN
    if not plan.exists():
        return False
    said = json.loads(plan.read_text())
    stack.stop(said["running"])
    _advance([(Path(old), Path(new)) for old, new in said["renames"]])
    plan.unlink()
    stack.start(said["running"])
    stack.restart_provisioner()
    return True


def _advance(renames: Iterable[Rename]) -> None:
    # Each target is moved away before the new one comes, so what is done already shows. A journal of SQLite that is
    # not there any more went when its server stopped.
    for old, new in renames:
        if os.path.lexists(old) and not os.path.lexists(new):
            old.rename(new)


def _refuse_newer(backup: Path, version: str) -> None:
    if is_older(__version__, version):
        raise ConflictError(
            f"{backup} is of labq {version}, and this is {__version__}, which may not understand it",
            f"upgrade labq here to {version} first, or use --force",
        )


def _refuse_at_work(stack: Stack) -> None:
    jobs = stack.held_jobs()
    if jobs is None:
        raise ConflictError(
            "Redis does not run, so nobody can say whether jobs run", "start it, or use --force"
        )
    if jobs:
        raise ConflictError(
            f"jobs hold {jobs} places on nodes: after a restore the lab would know nothing of those that are newer",
            "drain the nodes and wait, or use --force",
        )


def _write_plan(stack: Stack, renames: list[Rename], running: list[str]) -> None:
    text = json.dumps({"running": running, "renames": [[str(old), str(new)] for old, new in renames]})
    write_whole(stack.directory / PLAN, text, mode=0o644, sync=True)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _swap(target: Path, new: Path, suffix: str) -> list[Rename]:
    kept = target.with_name(f"{target.name}.replaced-{suffix}")
    if os.path.lexists(kept):  # nothing would be renamed onto it, so nothing would be restored
        raise ConflictError(f"{kept} is there already", "wait a second; is this machine's clock right?")
    return [(target, kept), (new, target)]


def _volume(stack: Stack, name: str) -> Path:
    found = stack.volume(name)
    if found is None:
        raise BadInputError(
            f"the stack has no volume {name!r}", "start it once: systemctl start labq-control"
        )
    return found


def _beside(target: Path, staged: list[Path]) -> Path:
    """Return a new empty directory beside ``target``, with its owner and mode."""
    new = target.with_name(f"{target.name}.restore")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    staged.append(new)
    like = target.stat()
    os.chown(new, like.st_uid, like.st_gid)
    new.chmod(like.st_mode & 0o7777)
    return new


def _stage_redis(stack: Stack, source: Path, suffix: str, staged: list[Path]) -> list[Rename]:
    volume = _volume(stack, "redis")
    new = _beside(volume, staged)
    _copy(source, new / AOF, like=volume)
    return _swap(volume, new, suffix)


def skip_numbers(appended: Path, count: int) -> None:
    """Write behind a copy of Redis, as Redis itself would, that the next numbers are higher by ``count``."""
    commands = [("SELECT", "0"), *(("INCRBY", key, str(count)) for key in (keys.SEQ, keys.PROVISION_SEQ))]
    with appended.open("ab") as handle:
        for words in commands:
            handle.write(f"*{len(words)}\r\n".encode())
            handle.write("".join(f"${len(word)}\r\n{word}\r\n" for word in words).encode())


def _stage_records(stack: Stack, source: Path, suffix: str, staged: list[Path]) -> list[Rename]:
    target = _volume(stack, "labq") / "records.sqlite"
    new = target.with_name("records.sqlite.restore")
    staged.append(new)
    _copy(source, new, like=target.parent)
    # What was not yet written back belongs to the old one.
    journals = [target.with_name(f"records.sqlite{end}") for end in ("-wal", "-shm")]
    away = [(each, each.with_name(f"{each.name}.replaced-{suffix}")) for each in journals]
    return [*away, *_swap(target, new, suffix)]


def _stage_rules(stack: Stack, source: Path, suffix: str, staged: list[Path]) -> list[Rename]:
    target = _volume(stack, "labq") / "rules.toml"
    new = target.with_name("rules.toml.restore")
    staged.append(new)
    _copy(source, new, like=target.parent)
    return _swap(target, new, suffix)


def _stage_grafana(stack: Stack, source: Path, suffix: str, staged: list[Path]) -> list[Rename]:
    volume = _volume(stack, "grafana")
    new = _beside(volume, staged)
    _extract(source, new)
    return _swap(volume, new, suffix)


def _stage_secrets(stack: Stack, source: Path, suffix: str, staged: list[Path]) -> list[Rename]:
    target = stack.directory / "secrets"
    new = _beside(target, staged)
    _extract(source, new, "secrets/")
    return _swap(target, new, suffix)


def _extract(source: Path, target: Path, prefix: str = "") -> None:
    """Unpack what is below ``prefix``, with owners and modes.

    Whoever could write where backups are kept could make up both the tar and its checksum, so nothing of it is written
    outside of ``target``: links come last, when nothing is written through them any more.

    Raises:
        BadInputError: it holds what no backup of ours holds, or cannot be read.
    """
    try:
        _extract_members(source, target, prefix)
    except (tarfile.TarError, EOFError) as error:
        raise BadInputError(
            f"{source} cannot be read: {error}", "take another backup: this one is broken"
        ) from None


def _extract_members(source: Path, target: Path, prefix: str) -> None:
    with tarfile.open(source) as tar:
        # Python 3.11.2 of Debian 12 has no filters; those that have them want to be told that none is wanted.
        tar.extraction_filter = lambda member, _: member
        for member in sorted(tar.getmembers(), key=tarfile.TarInfo.issym):
            if not member.name.startswith(prefix):
                continue
            named = [member.name] + ([member.linkname] if member.islnk() else [])
            member.name = member.name.removeprefix(prefix)
            if (
                any(name.startswith("/") or ".." in Path(name).parts for name in named)
                or not (member.isreg() or member.isdir() or member.issym() or member.islnk())
                or not (target / member.name).parent.resolve().is_relative_to(target.resolve())
            ):
                raise BadInputError(
                    f"{source} holds {member.name!r}, which is none of what labq saves, or would lie elsewhere",
                    "take another backup: this one is strange",
                )
            tar.extract(member, target, numeric_owner=True)


def _copy(source: Path, target: Path, *, like: Path) -> None:
    shutil.copyfile(source, target)
    owner = like.stat()
    os.chown(target, owner.st_uid, owner.st_gid)
    target.chmod(0o640)


_STAGE: dict[str, Callable[[Stack, Path, str, list[Path]], list[Rename]]] = {
    "redis": _stage_redis,
    "records": _stage_records,
    "rules": _stage_rules,
    "grafana": _stage_grafana,
    "secrets": _stage_secrets,
}
