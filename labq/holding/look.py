"""One look at the GPUs of this machine: driver, /proc, engines and leases put together. Thin; reading.py decides.

The agent and the exporter each have one of these, so that both say the same of the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from labq.holding.accounts import Accounts
from labq.holding.facts import ContainerFacts, LeaseFacts, Owner, ProcessFacts
from labq.holding.owners import owner_of
from labq.holding.procfs import Procfs
from labq.holding.reading import GpuReading, Identities, read_gpu
from labq.holding.samples import WatchedGpu

#: Looks for which a sample counts as fresh, and the least seconds of that.
FRESH_LOOKS, FRESH_SECONDS = 3.0, 3.0


class Look:
    """Looks, and remembers whom processes belonged to. For one thread."""

    def __init__(
        self,
        watched: Callable[[], Sequence[WatchedGpu]],
        containers: Callable[[], Mapping[str, ContainerFacts]],
        *,
        interval: float,
        key: Callable[[], bytes | None] = lambda: None,
        procfs: Procfs | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            watched: the driver's latest answers; must not wait for it.
            containers: what the engines have, by id; must not wait for them.
            interval: seconds between two looks.
            key: of the docker.sock proxy's seals.
            procfs: where processes are read.
            accounts: where people are looked up.
        """
        self._watched, self._containers, self._key = watched, containers, key
        self._stale = max(FRESH_SECONDS, FRESH_LOOKS * interval)
        self._procfs, self.accounts = procfs or Procfs(), accounts or Accounts()
        self._identities = Identities()

    def __call__(self, leases: Sequence[LeaseFacts], at: float) -> list[GpuReading]:
        """Return every GPU of the machine as it is now.

        Args:
            leases: of the queue on this machine.
            at: monotonic seconds.
        """
        watched = self._watched()
        fresh = [each.sample is not None and at - each.sample.at <= self._stale for each in watched]
        pids = {
            process.pid
            for each, is_fresh in zip(watched, fresh, strict=True)
            if is_fresh and each.sample is not None
            for process in each.sample.processes or ()
        }
        containers, tokens = self._containers(), {lease.token: lease for lease in leases}
        key = self._key()

        def name(process: ProcessFacts) -> Owner:
            return owner_of(process, containers, tokens, self.accounts, key)

        named = self._identities.name(pids, self._procfs.read, name, at)
        return [
            read_gpu(each, named, leases, fresh=is_fresh, undecided=self._identities.undecided)
            for each, is_fresh in zip(watched, fresh, strict=True)
        ]
