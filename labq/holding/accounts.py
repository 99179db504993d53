"""Reads the accounts of this machine, the ranges of subordinate uids, and who owns a directory.

Paths come from labels and mounts, which whoever started a container wrote: a path proves something only by who owns
it on disk, and a symbolic link only if root or the owner of its target made it.

A directory service that is slow or away says neither yes nor no: then :class:`NoAnswerYetError`, never a made-up name.
Root and whoever runs this are known from /etc/passwd, and so is everybody in it while the service does not answer.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

from labq.clock import monotonic
from labq.holding.patience import NoAnswerYetError, Patience
from labq.holding.words import plain

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
        passwd: Path = Path("/etc/passwd"),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Take what counts as a person's uid, the files of subordinate uids and accounts, and a clock in seconds."""
        self._people = people
        self._subuid, self._passwd = subuid, passwd
        # Homes are on NFS and accounts in a directory service: if one hangs, the other is to be asked all the same.
        self._accounts, self._paths = Patience(KEPT, clock), Patience(KEPT, clock)
        self._always = {uid: found for uid, found in self._local().items() if uid in {0, os.geteuid()}}

    def name(self, uid: int) -> str:
        """Return the name of an account; ``uid:1234`` when there is none.

        Raises:
            NoAnswerYetError: who knows has not said so yet.
        """
        return self._account(uid)[0] or f"uid:{uid}"

    def is_person(self, uid: int) -> bool:
        """Return whether a uid is a person's: not root's, a service's, nobody's or a container's."""
        return uid in self._people and uid != NOBODY

    def person(self, uid: int | None) -> str | None:
        """Return the person's name; None when it is nobody's or no person's uid.

        Raises:
            NoAnswerYetError: who knows has not said so yet.
        """
        return self.name(uid) if uid is not None and self.is_person(uid) else None

    def subuid_owner(self, uid: int) -> str | None:
        """Return the person in whose range of subordinate uids it lies; None when nobody's or several people's.

        Raises:
            NoAnswerYetError: whose the range is is not known yet.
        """
        # Root itself is in no range; the others' owners are not asked for.
        around = (
            {name for name, first, count in self._ranges() if first <= uid < first + count} if uid else ()
        )
        owners = {owner for name in around if (owner := self._owner_of_range(name))}
        return owners.pop() if len(owners) == 1 else None

    def home_owner(self, path: str) -> str | None:
        """Return whose home a path is or lies in: by passwd and by the owner of that directory on disk; else None.

        A disk that does not answer proves nothing: None.
        """
        return self._home(path)[0]

    def whole_home_owner(self, path: str) -> str | None:
        """Return whose home a path itself is, as :meth:`home_owner`; None when it only lies in one."""
        owner, whole = self._home(path)
        return owner if whole else None

    def directory_owner(self, path: str) -> str | None:
        """Return the person who owns a directory that exists; else None, also while the disk does not answer."""
        try:
            return self._paths.ask(("directory", path), lambda: self._directory_owner(path))
        except NoAnswerYetError:
            return None

    def _home(self, path: str) -> tuple[str | None, bool]:
        try:
            return self._paths.ask(("home", path), lambda: self._home_at(path))
        except NoAnswerYetError:
            return None, False

    def _home_at(self, path: str) -> tuple[str | None, bool]:
        """Return whose home a path is or lies in, and whether it is that home itself."""
        real = _resolve(path, missing_ok=True)
        if real is None:
            return None, False
        parts = real.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            directory = "/" + "/".join(parts[:depth])
            try:
                uid = os.lstat(directory).st_uid
            except (OSError, ValueError):
                return None, False
            home = self._account(uid)[1] if self.is_person(uid) else None
            if home and home != "/" and _resolve(home, missing_ok=True) == directory:
                return self.name(uid), directory == real
        return None, False

    def _directory_owner(self, path: str) -> str | None:
        real = _resolve(path, missing_ok=False)
        if real is None:
            return None
        try:
            found = os.lstat(real)
        except (OSError, ValueError):
            return None
        return self.person(found.st_uid) if stat.S_ISDIR(found.st_mode) else None

    def _account(self, uid: int) -> tuple[str | None, str | None]:
        """Return name and home. Asked by uid: directory services answer that, but list nobody."""
        if uid in self._always:
            return self._always[uid]
        try:
            return self._accounts.ask(uid, lambda: _ask_passwd(uid))
        except NoAnswerYetError:
            if (found := self._local().get(uid)) is not None:
                return found
            raise

    def _local(self) -> dict[int, tuple[str | None, str | None]]:
        """Return the accounts of the file; no directory service is asked."""
        found: dict[int, tuple[str | None, str | None]] = {}
        try:
            rows = os.fsdecode(self._passwd.read_bytes()).splitlines()
        except OSError:
            rows = []
        for row in rows:
            fields = row.split(":")
            if len(fields) == 7 and fields[0] and fields[2].isascii() and fields[2].isdecimal():
                found.setdefault(int(fields[2]), (plain(fields[0]), fields[5]))
        # Without a file, too, it is called so everywhere.
        found.setdefault(0, ("root", "/root"))
        return found

    def _ranges(self) -> tuple[tuple[str, int, int], ...]:
        try:
            return self._paths.ask(("subuid",), self._read_ranges)
        except NoAnswerYetError:
            return ()

    def _read_ranges(self) -> tuple[tuple[str, int, int], ...]:
        try:
            with open(self._subuid, encoding="utf-8", errors="replace") as file:
                rows = [row.strip().split(":") for row in file]
        except OSError:
            return ()
        return tuple(
            (row[0], int(row[1]), int(row[2]))
            for row in rows
            if len(row) == 3 and row[1].isdecimal() and row[2].isdecimal()
        )

    def _owner_of_range(self, who: str) -> str | None:
        return self.person(int(who) if who.isdecimal() else self._accounts.ask(who, lambda: _ask_uid(who)))


def _ask_passwd(uid: int) -> tuple[str | None, str | None]:
    try:
        account = pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        return None, None
    # The name is shown to others, the home is only compared: a byte that is no UTF-8 must stay what it is there.
    return plain(account.pw_name), account.pw_dir


def _ask_uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return None


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
        except ValueError:
            return None  # a letter that no file's name can have
        except OSError:
            return "/".join([here, *todo]) if missing_ok and ".." not in todo else None
        done = here
    return done or "/"
