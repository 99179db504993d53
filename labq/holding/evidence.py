"""What is known of one process, and who its evidence names. Pure.

Evidence is what is harder to forge than a label: a whole writable home, a uid that was asked for, the login of podman,
the owner of a rootless engine. The rules themselves are in owners.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from labq.holding.facts import ContainerFacts, LeaseFacts, ProcessFacts, Source

_COMPOSE = "com.docker.compose.project.working_dir"
_DEVCONTAINER = "devcontainer.local_folder"

#: Whom a rule names, and its word; None = it says nothing.
Answer = tuple[str, Source] | None


class People(Protocol):
    """What the rules ask of this machine's accounts (accounts.py). Uids may raise NoAnswerYetError, paths never."""

    def person(self, uid: int | None) -> str | None:
        """Return the person's name; None when it is no person's uid."""

    def subuid_owner(self, uid: int) -> str | None:
        """Return the person in whose range of subordinate uids it lies."""

    def home_owner(self, path: str) -> str | None:
        """Return whose home a path is or lies in."""

    def whole_home_owner(self, path: str) -> str | None:
        """Return whose home a path itself is."""

    def directory_owner(self, path: str) -> str | None:
        """Return the person who owns a directory."""


@dataclass(slots=True)
class Case:
    """One process, what surrounds it, and the doubts met on the way."""

    process: ProcessFacts
    container: ContainerFacts | None
    containers: Mapping[str, ContainerFacts]
    leases: Mapping[str, LeaseFacts]
    accounts: People
    key: bytes | None
    doubts: list[str] = field(default_factory=list)
    job: str = ""

    @property
    def inside(self) -> bool:
        """Return whether it is in a container, known or not."""
        return self.container is not None or bool(self.process.cgroup.containers)

    @property
    def labels(self) -> Mapping[str, str]:
        """Return its container's labels."""
        return self.container.labels if self.container else {}


def unless_disproved(case: Case, claimed: str, source: Source, claim: str) -> Answer:
    """Return the claim, or, when all evidence names other people, the first of them; and say what contradicts it."""
    found = list(evidence(case))
    against = [(name, rule, words) for name, rule, words in found if name != claimed]
    case.doubts += [f"{claim}, but {words} {name}'s" for name, _, words in against]
    if not against or len(against) < len(found):
        return claimed, source
    return against[0][:2]


def told(case: Case, user: str, source: Source) -> Answer:
    """Return what evidence says, and say what other evidence contradicts it."""
    # Outside containers a process that took another's uid (sudo -u) is that person's: the kernel let it.
    found = list(evidence(case)) if case.container else []
    mine = next((words for name, rule, words in found if (name, rule) == (user, source)), "")
    case.doubts += [
        f"{mine} {user}'s, but {words} {name}'s" for name, _, words in found if mine and name != user
    ]
    return user, source


def evidence(case: Case) -> Iterator[tuple[str, Source, str]]:
    """Yield who is named by what is harder to forge than a label, in the order of the rules."""
    if home := mounted_home(case):
        yield home, Source.MOUNT, "its mounted home is"
    uid = case.process.uid
    asked = case.accounts.person(case.container.asked_uid) if case.container else None
    # Where uids are remapped the number that was asked for is the container's, not the host's.
    if (
        asked
        and case.container
        and (case.container.asked_uid == uid or case.accounts.subuid_owner(uid) is None)
    ):
        yield asked, Source.UID, "the uid it was started with is"
    if login := login_of(case):
        yield login, Source.LOGINUID, "the login it was started from is"
    if case.container and (engine := case.accounts.person(case.container.engine_uid)):
        yield engine, Source.USERSLICE, "its engine is"


def login_of(case: Case) -> str | None:
    """Return the person who logged in. Docker's containers have the login of whoever started the *daemon*."""
    cgroup = case.process.cgroup
    if case.inside and not (cgroup.runtime == "libpod" and len(cgroup.containers) == 1):
        return None
    return case.accounts.person(case.process.loginuid)


def mounted_home(case: Case) -> str | None:
    """Return whose home is mounted whole and writable; None when it is nobody's, or those of two."""
    mounts = case.container.mounts if case.container else ()
    homes = (case.accounts.whole_home_owner(mount.path) for mount in mounts if mount.writable)
    owners = {owner for owner in homes if owner}
    return owners.pop() if len(owners) == 1 else None


def owner_of_directory(case: Case) -> tuple[str, str] | None:
    """Return who owns the directory it was started from, and what to call that."""
    for key, words in ((_COMPOSE, "compose directory"), (_DEVCONTAINER, "dev container's directory")):
        path = case.labels.get(key)
        owner = case.accounts.directory_owner(path) if path else None
        if owner:
            return owner, words
    return None
