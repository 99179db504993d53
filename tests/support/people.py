"""Unix accounts that live as long as the tests: real rows of passwd and subuid, real homes."""

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.need import need


@dataclass(frozen=True)
class Person:
    """One account."""

    name: str
    uid: int
    home: Path
    #: first of its 65536 subordinate uids
    subuid: int


@dataclass(frozen=True)
class People:
    """Three who know nothing of each other."""

    alice: Person
    bob: Person
    carol: Person


@pytest.fixture(scope="session")
def people() -> Iterator[People]:
    """Makes three accounts and removes them at the end."""
    with accounts() as made:
        yield made


@contextmanager
def accounts() -> Iterator[People]:
    """The three accounts, for tests and benchmarks."""
    need(os.geteuid() == 0 and shutil.which("useradd"), "root and useradd, for accounts of its own")
    mark = secrets.token_hex(3)
    made: list[str] = []
    try:
        for name in ("alice", "bob", "carol"):
            made.append(f"labqt-{name}-{mark}")
            _run("useradd", "--create-home", "--shell", "/bin/sh", made[-1])
        yield People(*(_person(name) for name in made))
    finally:
        for name in made:
            _run("userdel", "--force", "--remove", name)


def _person(name: str) -> Person:
    account = pwd.getpwnam(name)
    rows = (row.split(":") for row in Path("/etc/subuid").read_text().splitlines())
    first = next((int(start) for owner, start, _ in rows if owner == name), 0)
    need(first, f"useradd to give {name} subordinate uids (SUB_UID_COUNT in login.defs)")
    return Person(name, account.pw_uid, Path(account.pw_dir), first)


def _run(*command: str) -> None:
    # userdel says 12 when there is no mail spool to remove, and does the rest.
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert result.returncode in ({0, 12} if command[0] == "userdel" else {0}), f"{command}: {result.stderr}"
