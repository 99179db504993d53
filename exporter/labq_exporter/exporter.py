"""The exporter: looks, counts, writes down, shows. One thread does all of it; others only wait for the driver.

Each look:
    1. leases, from the agent's file
    2. driver + /proc + engines -> who holds what          (labq.holding)
    3. add the time since the last look to the counters
    4. every few seconds: processor and memory of containers and people
    5. write the counters down, then make the page of them
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from labq.clock import monotonic, now
from labq.holding.engines import Containers
from labq.holding.facts import ContainerFacts, LeaseFacts
from labq.holding.leases import read_leases
from labq.holding.look import Look
from labq.holding.nvml import Nvml
from labq.holding.reading import GpuReading
from labq.holding.seal import SealKey
from labq.holding.watch import GpuWatch
from labq.sdnotify import Supervised
from labq_exporter.cgroup_usage import Cgroups
from labq_exporter.collecting import Collecting
from labq_exporter.config import ExporterConfig
from labq_exporter.driver import driver_mismatch
from labq_exporter.page import CONTENT_TYPE, own_page, render
from labq_exporter.people import People
from labq_exporter.snapshot import Snapshot
from labq_exporter.state import State
from labq_exporter.table import COLLECTORS

log = logging.getLogger(__name__)
#: Seconds between two looks at the cgroups and the PCI bus.
SLOW = 10.0
#: Seconds that a part may take to end: a service that is stopped should stop.
END = 1.0
#: Seconds, besides three intervals, after which a look hangs. It waits for no driver and no engine, only for /proc and
#: its own state file.
HANGS = 60.0
_PCI = Path("/sys/bus/pci/devices")


class Exporter:
    """The parts of one exporter."""

    def __init__(self, config: ExporterConfig, supervised: Supervised | None = None) -> None:
        """Take the state file; nothing is asked before :meth:`start`.

        Args:
            config: what it was told.
            supervised: how systemd sees this process; None = it does not.

        Raises:
            ConflictError: another exporter runs with this run_dir.
            UnavailableError: run_dir cannot be written.
        """
        self._config = config
        self._supervised = supervised or Supervised()
        self._state = State(config.run_dir)
        self._totals = self._state.load(now())
        self._watch = GpuWatch(Nvml(), config.interval)
        self._containers = Containers(config.engines)
        self._seal_key = SealKey(config.stamp_key)
        self._look = Look(
            self._watch.snapshot, self._containers.known, interval=config.interval, key=self._seal_key
        )
        self._people = People(Cgroups(), self._look.accounts)
        self._collecting = Collecting(COLLECTORS)
        self._told: tuple[str, ...] = ()
        self._last_slow = -1e9
        self._seen = 0
        self._on_the_bus = gpus_on_the_bus()
        self._mismatch: bool | None = None
        # What was counted is shown from the start on.
        self._snapshot = self._snapshot_of((), self._totals.xids(()))
        self._page: tuple[float, bytes] = (-1e9, b"")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="look", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._watch.start()
        self._containers.start()
        self._thread.start()

    def stop(self) -> None:
        """Look once more, write the counters down, end."""
        self._stop.set()
        self._thread.join(timeout=END)
        self._watch.stop()
        # An engine that hangs keeps the threads that ask it for its timeout.
        engines = threading.Thread(target=self._containers.stop, name="engines-stop", daemon=True)
        engines.start()
        engines.join(timeout=END)
        self._state.close()

    def page(self) -> tuple[bytes, str]:
        """Return the metrics and their content type; waits for nobody."""
        made, body = self._page
        if monotonic() - made > self._patience:
            # This program itself stands still: what was measured is not true any more, what was counted is.
            stale = [replace(each, fresh=False, holders=()) for each in self._snapshot.gpus]
            body = render(replace(self._snapshot, gpus=stale))
        return body + own_page(), CONTENT_TYPE

    def healthy(self) -> tuple[bool, str]:
        """Return whether the looking goes on, and a line about it. A driver that is away is no fault of ours."""
        age = monotonic() - self._page[0]
        good = age <= self._patience
        return (
            good,
            "ok"
            if good
            else f"the last look ended {age:.0f} s ago"
            if age < 1e8
            else "no look has ended yet",
        )

    @property
    def _patience(self) -> float:
        return max(3.0, 3.0 * self._config.interval)

    def _run(self) -> None:
        self._containers.wait_listed(self._stop)
        pulse = self._supervised.loop("look", HANGS + 3.0 * self._config.interval)
        while True:
            pulse.beat()
            last = self._stop.is_set()
            began = monotonic()
            try:
                self.look()
            except Exception:
                log.exception("this look failed; the next one starts afresh")
            if last:
                return
            self._stop.wait(max(0.0, began + self._config.interval - monotonic()))

    def look(self) -> None:
        """Look once."""
        collecting, at, wall = self._collecting, monotonic(), now()
        nobody: list[LeaseFacts] = []
        leases = collecting.run("leases", lambda: self._leases(wall), nobody)
        nothing: list[GpuReading] = []
        readings = collecting.run("processes", lambda: self._look(leases, at), nothing)
        self._totals.add(readings, at, wall)
        if at - self._last_slow >= SLOW:
            self._last_slow = at
            self._slow(leases)
        self._note_threads(at, wall)
        xids = self._watch.xids()
        collecting.run("state", lambda: self._state.save(self._totals, xids), None)
        self._snapshot = self._snapshot_of(readings, self._totals.xids(xids))
        self._page = (at, render(self._snapshot))

    def _leases(self, wall: float) -> list[LeaseFacts]:
        leases, wrong = read_leases(self._config.run_dir, now=wall)
        names = tuple(text.partition(":")[0] for text in wrong)
        if names != self._told:
            for text in wrong:
                log.warning("leases: %s", text)
            self._told = names
        return leases

    def _slow(self, leases: Sequence[LeaseFacts]) -> None:
        self._mismatch = driver_mismatch(self._watch.error)
        self._on_the_bus = gpus_on_the_bus()
        containers: Callable[[], Mapping[str, ContainerFacts]] = self._containers.known
        self._collecting.run(
            "cgroups", lambda: self._people.look(containers(), leases, self._seal_key(), self._totals), None
        )

    def _note_threads(self, at: float, wall: float) -> None:
        """Note how the collectors do that work in threads of their own."""
        ages = [at - each.sample.at for each in self._watch.snapshot() if each.sample is not None]
        oldest = max(ages, default=0.0)
        good = (not self._watch.error or self._without_gpus) and oldest <= self._patience
        self._collecting.note(
            "nvml", success=good, duration=0.0, last=wall - oldest if ages else wall if good else 0.0
        )
        heard = self._containers.last_success
        fresh = heard is not None and at - heard < 3 * 60.0
        self._collecting.note(
            "containers", success=fresh, duration=0.0, last=wall - (at - heard) if heard is not None else 0.0
        )

    @property
    def _without_gpus(self) -> bool:
        """Return whether this machine has no GPU and needs no driver; a driver that hangs has not said so."""
        here = self._watch.wait_found(0.0) and not self._watch.driver
        return here and not (self._seen or self._on_the_bus or self._config.gpus_expected)

    def _snapshot_of(
        self, readings: Sequence[GpuReading], xids: Mapping[tuple[str, int], tuple[int, float]]
    ) -> Snapshot:
        totals = self._totals
        self._seen = max(self._seen, len({each.gpu.index for each in readings}))
        expected = self._config.gpus_expected
        return Snapshot(
            gpus=readings,
            expected=expected if expected is not None else max(self._seen, self._on_the_bus),
            driver=self._watch.driver,
            mismatch=self._mismatch,
            users={key: (held, totals.busy[key]) for key, held in totals.held.items()},
            states=dict(totals.states),
            used=dict(totals.used),
            slots=dict(totals.slots),
            xids=xids,
            containers=self._people.containers,
            people=self._people.people,
            collectors=self._collecting.all(),
        )


def gpus_on_the_bus(devices: Path = _PCI) -> int:
    """Return how many NVIDIA display and 3D controllers the PCI bus shows, whether the driver sees them or not."""
    found = 0
    for device in devices.glob("*"):
        try:
            vendor, kind = (device / "vendor").read_text().strip(), (device / "class").read_text().strip()
        except OSError:
            continue
        # PCI class 0x03: display controller
        found += vendor == "0x10de" and kind.startswith("0x03")
    return found
