"""Reads the accounts of this machine, the ranges of subordinate uids, and who owns a directory.

Paths come from labels and mounts, which whoever started a container wrote: a path proves something only by who owns
it on disk, and a symbolic link only if root or the owner of its target made it.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections import deque
from collections.abc import Callable

from labq.clock import monotonic
from labq.holding.patience import Patience

#: Uids of people: UID_MIN and UID_MAX of login.defs, as Debian, Ubuntu, Fedora and their kin ship it.
PEOPLE = range(1000, 60001)
#: "nobody", also where somebody widened the range.
NOBODY = 65534
#: Seconds for which an answer is kept; a directory service should not be asked at every look.
KEPT = 60.0
#: Links followed in one path, as the kernel does.
MAX_LINKS = 40


class Accounts:
    """Answers whose uid and whose directory that is. Safe to share between threads."""

    def __init__(
        self,
        *,
        people: range = PEOPLE,
        subuid: str = "/etc/subuid",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Take what counts as a person's uid, the file of subordinate uids, and a clock in seconds."""
        self._people = people
        self._subuid = subuid
        # Homes are on NFS and accounts in a directory service, and either may hang.
        self._patience = Patience(KEPT, clock)

    def name(self, uid: int) -> str:
        """Return the name of an account; ``uid:1234`` when there is none."""
        return self._account(uid)[0] or f"uid:{uid}"

    def is_person(self, uid: int) -> bool:
        """Return whether a uid is a person's: not root's, a service's, nobody's or a container's."""
        return uid in self._people and uid != NOBODY

    def person(self, uid: int | None) -> str | None:
        """Return the person's name; None when it is nobody's or no person's uid."""
        return self.name(uid) if uid is not None and self.is_person(uid) else None

    def subuid_owner(self, uid: int) -> str | None:
        """Return the person in whose range of subordinate uids it lies; None when nobody's or several people's."""
        owners = {name for name, first, count in self._ranges() if first <= uid < first + count}
        return owners.pop() if len(owners) == 1 else None

    def home_owner(self, path: str) -> str | None:
        """Return whose home a path lies in: by passwd and by the owner of that directory on disk; else None."""
        return self._patience.ask(("home", path), lambda: self._home_owner(path), None)

    def directory_owner(self, path: str) -> str | None:
        """Return the person who owns a directory that exists; else None."""
        return self._patience.ask(("directory", path), lambda: self._directory_owner(path), None)

    def _home_owner(self, path: str) -> str | None:
        real = _resolve(path, missing_ok=True)
        if real is None:
            return None
        parts = real.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            directory = "/" + "/".join(parts[:depth])
            try:
                uid = os.lstat(directory).st_uid
            except (OSError, ValueError):
                return None
            home = self._account(uid)[1] if self.is_person(uid) else None
            if home and home != "/" and _resolve(home, missing_ok=True) == directory:
                return self.name(uid)
        return None

    def _directory_owner(self, path: str) -> str | None:
        real = _resolve(path, missing_ok=False)
        if real is None:
            return None
        try:
            found = os.lstat(real)
        except OSError:
            return None
        return self.person(found.st_uid) if stat.S_ISDIR(found.st_mode) else None

    def _account(self, uid: int) -> tuple[str | None, str | None]:
        """Return name and home. Asked by uid: directory services answer that, but list nobody."""
        nobody: tuple[str | None, str | None] = (None, None)
        return self._patience.ask(("account", uid), lambda: _ask_passwd(uid), nobody)

    def _ranges(self) -> tuple[tuple[str, int, int], ...]:
        return self._patience.ask(("subuid",), self._read_ranges, ())

    def _read_ranges(self) -> tuple[tuple[str, int, int], ...]:
        try:
            with open(self._subuid, encoding="utf-8", errors="replace") as file:
                rows = [row.strip().split(":") for row in file]
        except OSError:
            return ()
        found = []
        for row in rows:
            if len(row) == 3 and row[1].isdecimal() and row[2].isdecimal():
                owner = self._owner_of_range(row[0])
                if owner is not None:
                    found.append((owner, int(row[1]), int(row[2])))
        return tuple(found)

    def _owner_of_range(self, who: str) -> str | None:
        if who.isdecimal():
            return self.person(int(who))
        try:
            return self.person(pwd.getpwnam(who).pw_uid)
        except KeyError:
            return None


def _ask_passwd(uid: int) -> tuple[str | None, str | None]:
    try:
        account = pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return None, None
    return account.pw_name, account.pw_dir


def _resolve(path: str, *, missing_ok: bool) -> str | None:
    """Return the path without symbolic links; None when it is not fit to prove anything.

    Args:
        path: must be absolute, without ``..`` and NUL.
        missing_ok: True takes the rest as it is written from where it is missing or must not be looked into (a home
            on NFS that root may not enter); False answers None.
    """
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        return None
    todo = deque(part for part in path.split("/") if part not in {"", "."})
    done, links = "", 0
    while todo:
        part = todo.popleft()
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        here = f"{done}/{part}"
        try:
            found = os.lstat(here)
            if stat.S_ISLNK(found.st_mode):
                links += 1
                if links > MAX_LINKS or found.st_uid not in {0, os.stat(here).st_uid}:
                    return None
                target = os.readlink(here)
                if target.startswith("/"):
                    done = ""
                todo.extendleft(reversed([piece for piece in target.split("/") if piece not in {"", "."}]))
                continue
        except OSError:
            return "/".join([here, *todo]) if missing_ok and ".." not in todo else None
        done = here
    return done or "/"
