"""What Prometheus asks one machine of a lab: a real labq-exporter on the fake NVML, and a real node_exporter."""

import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from support.daemon import Daemon
from support.lab import BIN
from support.need import need
from support.nvml import MockNvml
from support.prometheus import OPENER
from support.waiting import wait_for


class WatchedNode:
    """Both exporters of a node, at an address of loopback that is its own.

    Attributes:
        nvml: The GPUs of this machine.
    """

    def __init__(
        self, nvml: MockNvml, folder: Path, address: str, ports: tuple[int, int], env: Mapping[str, str]
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            nvml: Its GPUs.
            folder: For the logs; a new one.
            address: Where both listen, such as 127.0.0.2.
            ports: Of labq-exporter and of node_exporter, the same on every node of a lab.
            env: The environment of the node's agent.
        """
        need(
            shutil.which("prometheus-node-exporter"),
            "node_exporter (apt-get install prometheus-node-exporter)",
        )
        folder.mkdir()
        self.nvml, self._address, self._ports = nvml, address, ports
        self._env = {**env, "LABQ_EXPORTER_HOST": address, "LABQ_EXPORTER_INTERVAL": "0.2"}
        self._daemons = Daemon("labq-exporter", folder), Daemon("node-exporter", folder)

    def start(self) -> None:
        """Starts both and waits until they answer."""
        ours, usual = self._daemons
        ours.start([str(BIN / "labq-exporter"), "--port", str(self._ports[0])], self._env)
        # A few of its collectors: a scrape of all takes a second on a busy machine.
        usual.start([
            "prometheus-node-exporter", f"--web.listen-address={self._address}:{self._ports[1]}",
            "--collector.disable-defaults", "--collector.loadavg", "--collector.meminfo", "--collector.filesystem",
        ])  # fmt: skip
        for port in self._ports:
            wait_for(lambda port=port: self._answers(port), 20, f"{self._address}:{port}", hint=self.tail)  # type: ignore[misc]

    def _answers(self, port: int) -> bool:
        with OPENER.open(f"http://{self._address}:{port}/metrics", timeout=5) as answer:
            return bool(answer.status == 200)

    def kill9(self) -> None:
        """Ends both as a power cut does."""
        for daemon in self._daemons:
            daemon.end(signal.SIGKILL)

    def tail(self) -> str:
        """The end of both logs."""
        return "\n".join(daemon.tail() for daemon in self._daemons)
