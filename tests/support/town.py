"""Three people, and processes and containers of theirs, for tests of who is charged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labq.holding.facts import CgroupFacts, ContainerFacts, LeaseFacts, Mount, Owner, ProcessFacts, Source
from labq.holding.owners import owner_of
from labq.holding.patience import NoAnswerYetError
from labq.holding.seal import OWNER_LABEL, STAMP_LABEL, seal
from labq.wire import LABEL_ATTEMPT, LABEL_JOB, LABEL_LEASE, LABEL_OWNER

ID, OTHER, INNER = "a" * 64, "b" * 64, "c" * 64
KEY = bytes(32)
COMPOSE, DEVCONTAINER = "com.docker.compose.project.working_dir", "devcontainer.local_folder"
ALICE, BOB, CAROL = 1001, 1002, 1003
NAMES = {ALICE: "alice", BOB: "bob", CAROL: "carol"}
LEASE = LeaseFacts("token", "12", 2, "alice")
LABQ = {LABEL_JOB: "12", LABEL_ATTEMPT: "2", LABEL_LEASE: "token", LABEL_OWNER: "alice"}


@dataclass
class Town:
    """Three people with a home and 65536 subordinate uids each; directories are owned by who is named in them."""

    names: Mapping[int, str] = field(default_factory=lambda: NAMES)
    #: uids of which the directory service has not said anything yet
    unheard: frozenset[int | None] = frozenset()

    def person(self, uid: int | None) -> str | None:
        if uid in self.unheard:
            raise NoAnswerYetError
        return self.names.get(uid or 0)

    def subuid_owner(self, uid: int) -> str | None:
        return self.names.get(1000 + uid // 100000) if uid >= 100000 else None

    def home_owner(self, path: str) -> str | None:
        return next((name for name in self.names.values() if path.startswith(f"/home/{name}")), None)

    def whole_home_owner(self, path: str) -> str | None:
        return next((name for name in self.names.values() if path == f"/home/{name}"), None)

    def directory_owner(self, path: str) -> str | None:
        return next((name for name in self.names.values() if name in path.split("/")), None)


def process(
    *ids: str, uid: int = 0, login: int | None = None, slice_uid: int | None = None, runtime: str = "",
    delegated: int | None = None,
) -> ProcessFacts:  # fmt: skip
    return ProcessFacts(7, 1, 1.0, uid, login, CgroupFacts(ids, slice_uid, runtime, delegated))


def container(
    key: str = ID, *, mounts: tuple[str, ...] = (), asked: int | None = None, created: float = 1.0,
    engine: int = 0, labels: Mapping[str, str] | None = None,
) -> ContainerFacts:  # fmt: skip
    bound = tuple(Mount(path.removesuffix(":ro"), not path.endswith(":ro")) for path in mounts)
    return ContainerFacts(key, f"name-{key[0]}", "pytorch", labels or {}, bound, created, asked, engine)


def named(
    who: ProcessFacts | None,
    *found: ContainerFacts,
    leases: tuple[LeaseFacts, ...] = (),
    key: bytes | None = KEY,
) -> Owner:
    return owner_of(
        who, {each.id: each for each in found}, {lease.token: lease for lease in leases}, Town(), key
    )


def answer(who: ProcessFacts, *found: ContainerFacts) -> tuple[str, Source, str]:
    owner = named(who, *found)
    return owner.user, owner.source, owner.disputed


def labelled(owner: str, **more: str) -> dict[str, str]:
    return {OWNER_LABEL: owner} | more


def stamped(owner: str, nonce: str = "0" * 32, key: bytes = KEY) -> dict[str, str]:
    return {OWNER_LABEL: owner, STAMP_LABEL: seal(key, nonce, owner)}
