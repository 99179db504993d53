"""Whose containers and logins use how much processor and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labq.holding.accounts import Accounts
from labq.holding.facts import UNKNOWN, CgroupFacts, ContainerFacts, LeaseFacts, Owner, ProcessFacts
from labq.holding.owners import owner_of
from labq.holding.patience import NoAnswerYetError
from labq_exporter.cgroup_usage import Cgroups, CgroupUse
from labq_exporter.snapshot import ContainerUse
from labq_exporter.totals import Totals


class People:
    """The result of the latest look."""

    def __init__(self, cgroups: Cgroups, accounts: Accounts) -> None:
        """Know nothing before the first look."""
        self._cgroups, self._accounts = cgroups, accounts
        self._looked = False
        self.containers: Sequence[ContainerUse] = ()
        self.people: Mapping[str, tuple[float, int]] = {}

    def look(
        self,
        known: Mapping[str, ContainerFacts],
        leases: Sequence[LeaseFacts],
        key: bytes | None,
        totals: Totals,
    ) -> None:
        """Look once, and count processor time into ``totals``.

        Raises:
            OSError: the cgroups cannot be read.
        """
        tokens = {lease.token: lease for lease in leases}
        containers: list[ContainerUse] = []
        seen: dict[str, tuple[str, float]] = {}
        memory: dict[str, int] = {}
        for use in self._cgroups.look():
            if use.container:
                facts = known.get(use.container)
                if facts is not None and facts.engine_uid != (use.delegated or 0):
                    facts = None  # the name of somebody else's container on a cgroup that a user made
                owner = owner_of(_inside(use, facts), known, tokens, self._accounts, key)
                name = facts.name if facts is not None else use.container[:12]
                image = facts.image if facts is not None else ""
                containers.append(_use(name, use.container, image, owner, use.cpu, use.memory))
                user = owner.user
                if use.slice_uid is not None:
                    continue  # a rootless container: its login's slice counts it
            elif use.slice_uid is not None:
                user = self._name(use.slice_uid)
            if use.cpu is not None:
                seen[use.path] = (user, use.cpu)
            memory[user] = memory.get(user, 0) + (use.memory or 0)
        totals.add_cpu(seen, first=not self._looked and not totals.cgroup_cpu)
        self._looked = True
        self.containers = sorted(containers, key=lambda each: (each.name, each.id))
        self.people = {user: (cpu, memory.get(user, 0)) for user, cpu in sorted(totals.user_cpu.items())}

    def _name(self, uid: int) -> str:
        try:
            return self._accounts.name(uid)
        except NoAnswerYetError:
            return UNKNOWN


def _use(
    name: str, container: str, image: str, owner: Owner, cpu: float | None, memory: int | None
) -> ContainerUse:
    return ContainerUse(name, container, image, owner.user, str(owner.source), owner.job, cpu, memory)


def _inside(use: CgroupUse, facts: ContainerFacts | None) -> ProcessFacts:
    """Return a process that stands for all of a container: what its own processes say is not asked."""
    uid = facts.asked_uid if facts is not None and facts.asked_uid is not None else 0
    cgroup = CgroupFacts((use.container,), use.slice_uid, delegated=use.delegated)
    return ProcessFacts(0, 0, 0.0, uid, None, cgroup)
