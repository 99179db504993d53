"""Which GPUs of this node are near each other: asked in a thread of its own, seldom.

It changes only with the cards, or when NVSwitch comes up after the driver; and a question to a driver that hangs never
returns, so nobody waits for the answer.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from labq.clock import monotonic
from labq.holding.nvml import Nvml
from labq.neighbours import MOST_GPUS, Neighbours, Pair, Tie, neighbours_of
from labq.node import Gpu

log = logging.getLogger(__name__)
#: Seconds between two questions about the same GPUs; until the next where one of them did not answer; and between two
#: looks whether they are the same.
EVERY, AGAIN, LOOK = 600.0, 30.0, 2.0
PCI = Path("/sys/bus/pci/devices")
_BUS_ID = re.compile(r"([0-9A-Fa-f]{4,8}):([0-9A-Fa-f]{2}):([0-9A-Fa-f]{2})\.([0-7])")


class GpuNear:
    """Knows the answer to the last questions."""

    def __init__(self, nvml: Nvml, gpus: Callable[[], Collection[Gpu]], *, pci: Path = PCI) -> None:
        """Prepare.

        Args:
            nvml: the driver.
            gpus: those of this node now; waits for nobody.
            pci: the kernel's directory of PCI devices.
        """
        self._nvml, self._gpus, self._pci = nvml, gpus, pci
        #: nothing until the driver has answered
        self.known = Neighbours()
        self._answered = threading.Event()
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to ask."""
        threading.Thread(target=self._keep_asking, name="gpu-near", daemon=True).start()

    def stop(self) -> None:
        """Ask no more. The thread stays as long as a driver holds it."""
        self._stop.set()

    def wait_known(self, seconds: float) -> bool:
        """Wait until the driver has answered once, at most ``seconds``; return whether it has."""
        return self._answered.wait(seconds)

    def ask(self) -> bool:
        """Ask now; return whether all GPUs answered. May block for as long as the driver does."""
        gpus = [gpu for gpu in self._gpus() if gpu.instance is None]
        if not 1 < len(gpus) <= MOST_GPUS:
            self.known = Neighbours()
            return True
        told = self._nvml.ties(gpus)
        nodes: Mapping[str, int | None] = {}
        if told.unplaced:
            wanted = {uuid for pair in told.unplaced for uuid in pair}
            nodes = {gpu.uuid: self._numa_node(gpu) for gpu in gpus if gpu.uuid in wanted}
        told.pairs[Tie.NUMA] |= same_node(told.unplaced, nodes)
        complete = told.cards == len(gpus)
        # A GPU that fell off the bus, or a driver that is just reloaded, does not undo what was known.
        if complete or not self.known.groups:
            self.known = neighbours_of((gpu.uuid for gpu in gpus), told.pairs)
        return complete

    def _numa_node(self, gpu: Gpu) -> int | None:
        return numa_node(self._nvml.identify(gpu)[0], self._pci)

    def _keep_asking(self) -> None:
        asked: frozenset[str] | None = None
        due = 0.0
        while not self._stop.is_set():
            here = frozenset(gpu.uuid for gpu in self._gpus())
            if here != asked or monotonic() >= due:
                complete = False
                try:
                    complete = self.ask()
                except Exception:
                    log.exception("asking which GPUs are near each other")
                asked, due = here, monotonic() + (EVERY if complete else AGAIN)
                self._answered.set()
            self._stop.wait(LOOK)


def numa_node(bus_id: str, pci: Path = PCI) -> int | None:
    """Return the NUMA node that a card sits at; None = the kernel does not tell.

    Args:
        bus_id: as the driver writes it, such as ``00000000:3B:00.0``; "" = not told.
        pci: the kernel's directory of PCI devices.
    """
    match = _BUS_ID.fullmatch(bus_id)
    if match is None:
        return None
    name = f"{int(match[1], 16):04x}:{match[2]}:{match[3]}.{match[4]}".lower()
    try:
        node = int((pci / name / "numa_node").read_text())
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None  # -1: the machine has one, or its firmware does not say


def same_node(pairs: Iterable[Pair], nodes: Mapping[str, int | None]) -> set[Pair]:
    """Return those of ``pairs`` that sit at the same NUMA node, by uuid."""
    return {pair for pair in pairs if nodes.get(pair[0]) is not None and nodes[pair[0]] == nodes.get(pair[1])}
