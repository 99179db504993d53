"""A backup that cannot be restored is none: each test here restores one and looks for what was saved."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from support.compose import Stack
from support.engine import BUSYBOX
from support.waiting import wait_for

BIN = Path(sys.executable).parent
ADMIN = "ann"


def submit(stack: Stack, token: str, name: str) -> None:
    stack.labq(token, "submit", "--image", BUSYBOX, "--memory", "64MB", "--not-before", "2099-01-01T00:00:00Z", "--name", name, "--", "true")  # fmt: skip


class Backups:
    """The program as the role installs it: `.env`, `compose-run` and a lab directory beside the files of compose."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.root = stack.folder / "backups"
        self.lab = stack.folder / "lab"
        for name in ("ssh", "locks", "runs/1"):
            (self.lab / name).mkdir(parents=True, exist_ok=True)
        (self.lab / "ssh" / "id_ed25519").write_text("a key\n")
        (self.lab / "runs" / "1" / "artifact").write_text("long\n")
        (stack.folder / ".env").write_text(
            "".join(f"{name}='{value}'\n" for name, value in stack.settings.items())
        )
        run = stack.folder / "compose-run"
        run.write_text(f'#!/bin/sh\ncd {stack.folder} && exec docker-compose "$@"\n')
        run.chmod(0o755)

    def run(self, *words: str | Path, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("LABQ_", "COMPOSE_"))}
        return subprocess.run(
            [*before, sys.executable, "-m", "labq_scheduler.backup", *words],
            env=env | {"DOCKER_HOST": self.stack.engine.host}, text=True, capture_output=True, stdin=subprocess.DEVNULL,
            timeout=120, check=False,
        )  # fmt: skip

    def make(self, keep: int = 14) -> Path:
        before = set(self.root.glob("2*")) if self.root.exists() else set()

        def made() -> bool:  # two in one second have one name, and the second is refused
            done = self.run(
                "make", self.root, "--control-dir", self.stack.folder, "--lab-dir", self.lab,
                "--textfile-dir", self.stack.folder, "--keep", str(keep),
            )  # fmt: skip
            assert done.returncode == 0 or "is there already" in done.stderr, done.stderr
            return done.returncode == 0

        wait_for(made, 30, "a backup", interval=0.3)
        (found,) = set(self.root.glob("2*")) - before
        return found

    def restore(self, backup: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("restore", backup, "--control-dir", self.stack.folder, *words)


@pytest.fixture(scope="module")
def token(stack: Stack) -> str:
    made = stack.exec("scheduler", "labq-scheduler", "--add-admin", ADMIN, "--uid", "0", "--gid", "0")
    return made.splitlines()[-1]


@pytest.fixture(scope="module")
def backups(stack: Stack) -> Iterator[Backups]:
    found = Backups(stack)
    yield found
    shutil.rmtree(found.root, ignore_errors=True)


def recorded(stack: Stack) -> set[str]:
    form = "{{range .Mounts}}{{if eq .Destination `/var/lib/labq`}}{{.Source}}{{end}}{{end}}"
    with closing(sqlite3.connect(Path(stack.inspect("scheduler", form)) / "records.sqlite")) as records:
        return {name for (name,) in records.execute("SELECT name FROM jobs")}


def ready(stack: Stack) -> None:
    wait_for(lambda: stack.healthy("redis") and stack.healthy("scheduler"), 60, "the stack", hint=stack.logs)


@pytest.mark.timeout(600)  # the images may have to be built first
def test_a_backup_brings_jobs_records_and_users_back_and_keeps_what_it_replaced(
    stack: Stack, token: str, backups: Backups
) -> None:
    submit(stack, token, "waiting")
    submit(stack, token, "ended")
    stack.labq(token, "cancel", "2")
    wait_for(lambda: "ended" in recorded(stack), 30, "the record of a job that ended", interval=0.3)
    stack.labq(token, "user", "add", "bob", "--uid", "1002", "--gid", "1002")
    stack.exec("scheduler", "sh", "-c", "printf '[caps]\\ngpus = 5\\n' > /var/lib/labq/rules.toml")
    backup = backups.make()
    # After the backup: other rules, one more job, one user fewer.
    stack.exec("scheduler", "sh", "-c", "printf '[caps]\\ngpus = 6\\n' > /var/lib/labq/rules.toml")
    submit(stack, token, "newer")
    stack.labq(token, "user", "rm", "bob")

    done = backups.restore(backup)

    assert done.returncode == 0, done.stderr
    ready(stack)
    wait_for(lambda: "waiting" in stack.labq(token, "ls", check=False), 30, "the old queue", interval=0.5)
    assert "newer" not in stack.labq(token, "ls", "--all")
    assert "bob" in stack.labq(token, "user", "ls")
    assert "ended" in recorded(stack)
    old_rules = re.compile(r"^caps\.gpus +5 ", re.MULTILINE)
    wait_for(
        lambda: old_rules.search(stack.labq(token, "admin", "rules", "show")),
        30,
        "the old rules",
        interval=0.5,
    )
    kept = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
    assert {Path(each).name.split(".replaced-")[0] for each in kept} >= {
        "_data",
        "records.sqlite",
        "rules.toml",
        "secrets",
    }
    assert all(Path(each).exists() for each in kept)
    # The third job's number stays that job's: an agent may still bring its log, and would bring it to another's job.
    submit(stack, token, "after")
    assert max(map(int, stack.labq(token, "ls", "--ids").split())) > 10_000
    # It is a lab like any other: what is written now outlives a kill of Redis.
    stack.engine.docker("kill", stack.container("redis"))
    stack.up("redis")
    ready(stack)
    wait_for(lambda: "after" in stack.labq(token, "ls", check=False), 30, "the new job", interval=0.5)


def test_a_backup_is_for_root_alone_and_holds_no_locks_and_no_runs(backups: Backups) -> None:
    backup = backups.make()
    assert backup.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o077 for each in backup.iterdir()} == {0}
    said = subprocess.run(["tar", "-tf", backup / "lab.tar"], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["ssh/", "ssh/id_ed25519"]
    held = set(json.loads((backup / "MANIFEST.json").read_text())["entries"])
    assert {"redis.rdb", "records.sqlite", "outputs.jsonl.gz", "control.tar", "lab.tar"} <= held


def test_node_exporter_is_told_when_one_succeeded_and_old_ones_go(stack: Stack, backups: Backups) -> None:
    backups.make()
    newest = backups.make(keep=1)
    assert list(backups.root.glob("2*")) == [newest]
    made = json.loads((newest / "MANIFEST.json").read_text())["made"]
    text = (stack.folder / "labq_backup.prom").read_text()
    assert f"\nlabq_backup_last_success_timestamp_seconds {made:.0f}\n" in text


def test_a_broken_backup_is_refused_before_anything_stops(stack: Stack, backups: Backups) -> None:
    backup = backups.make()
    since = stack.inspect("redis", "{{.State.StartedAt}}")
    with (backup / "records.sqlite").open("ab") as handle:
        handle.write(b"x")
    done = backups.restore(backup)
    assert (done.returncode, "records.sqlite is missing, or is not what" in done.stderr) == (2, True), (
        done.stderr
    )
    (backup / "MANIFEST.json").unlink()
    assert "is no finished backup" in backups.restore(backup).stderr
    assert stack.inspect("redis", "{{.State.StartedAt}}") == since


def test_a_lab_at_work_is_not_overwritten_unless_forced(stack: Stack, backups: Backups) -> None:
    backup = backups.make()
    script = (
        "export REDISCLI_AUTH=$(sed -n 's/^requirepass //p' /run/secrets/redis_auth); "
        'redis-cli sadd labq:nodes n1; redis-cli hset labq:leases:n1 gpu:0 \'{"job": "7"}\''
    )
    stack.exec("redis", "sh", "-c", script)
    done = backups.restore(backup, "--only", "redis")
    assert "jobs hold 1 places on nodes" in done.stderr
    done = backups.restore(backup, "--only", "redis", "--force")
    assert done.returncode == 0, done.stderr
    ready(stack)


def test_a_restore_that_was_killed_between_two_renames_is_finished_by_the_next(
    stack: Stack, backups: Backups
) -> None:
    target = stack.secrets
    kept, new = target.with_name("secrets.replaced-x"), target.with_name("secrets.restore")
    shutil.copytree(target, new)
    target.rename(kept)  # the first of the two was done
    plan = {"running": ["scheduler"], "renames": [[str(target), str(kept)], [str(new), str(target)]]}
    (stack.folder / ".restore-plan.json").write_text(json.dumps(plan))
    done = backups.restore(stack.folder)
    assert "interrupted is finished now" in done.stdout, done.stderr
    assert (target / "redis_auth").exists()
    assert not new.exists()
    assert kept.exists()
    ready(stack)


def test_a_restore_whose_stack_does_not_stop_leaves_it_as_it_was_and_running(
    stack: Stack, backups: Backups
) -> None:
    backup = backups.make()
    before = (stack.secrets / "redis_auth").stat().st_ino
    run = stack.folder / "compose-run"
    honest = run.read_text()
    # Half of it stops, then compose fails.
    run.write_text(
        honest.replace(
            "exec docker-compose",
            '[ "$1" = stop ] && { docker-compose stop scheduler; exit 9; }; exec docker-compose',
        )
    )
    try:
        done = backups.restore(backup, "--only", "secrets")
    finally:
        run.write_text(honest)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert (stack.secrets / "redis_auth").stat().st_ino == before
    assert not [*stack.folder.glob(".restore-plan*"), *stack.folder.glob("*.restore")]
    ready(stack)


def test_a_disk_that_is_full_is_told_in_a_sentence_and_leaves_no_half_of_a_backup(
    stack: Stack, backups: Backups
) -> None:
    before = set(backups.root.iterdir())
    done = backups.run(
        "make",
        backups.root,
        "--control-dir",
        stack.folder,
        "--lab-dir",
        backups.lab,
        before=["prlimit", "--fsize=100"],
    )
    assert done.returncode == 69
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert set(backups.root.iterdir()) == before


def test_a_backup_of_a_newer_labq_is_refused_unless_forced(stack: Stack, backups: Backups) -> None:
    backup = backups.make()
    manifest = backup / "MANIFEST.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": "99.0"}))
    done = backups.restore(backup, "--only", "secrets")
    assert "is of labq 99.0" in done.stderr
    assert "or use --force" in done.stderr
