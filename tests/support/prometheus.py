"""A real Prometheus on loopback that scrapes one exporter."""

import json
import os
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from itertools import pairwise
from pathlib import Path

from support.need import need
from support.waiting import wait_for

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
CONFIG = """
global: {{scrape_interval: {every:g}s, scrape_timeout: {every:g}s}}
scrape_configs:
  - job_name: labq
    static_configs: [{{targets: ["{target}"]}}]
"""


class Prometheus:
    """The server; `raw` gives what it has stored."""

    def __init__(self, folder: Path, target: str, every: float, config: str = "") -> None:
        """Starts it; `config` takes the place of the usual configuration."""
        need(shutil.which("prometheus"), "Prometheus (apt-get install prometheus)")
        folder.mkdir()
        self._log = folder / "log"
        port = unused_port()
        self.url = f"http://127.0.0.1:{port}"
        (folder / "prometheus.yml").write_text(config or CONFIG.format(every=every, target=target))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus", f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ,
            )  # fmt: skip
        try:
            wait_for(self._ready, 30, "Prometheus to be ready", hint=lambda: self._log.read_text()[-2000:])
        except AssertionError:
            self.close()
            raise

    def _ready(self) -> bool:
        with OPENER.open(f"{self.url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)

    def query(self, expression: str) -> list[dict[str, object]]:
        """The result of an instant query."""
        asked = urllib.parse.urlencode({"query": expression})
        with OPENER.open(f"{self.url}/api/v1/query?{asked}", timeout=10) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        return list(body["data"]["result"])

    def raw(self, name: str, seconds: float) -> list[tuple[dict[str, str], list[float]]]:
        """Labels and stored values of every series of a name in the last seconds, oldest first."""
        out = []
        for found in self.query(f"{name}[{seconds:.0f}s]"):
            labels, values = found["metric"], found["values"]
            assert isinstance(labels, dict)
            assert isinstance(values, list)
            out.append((labels, [float(value) for _, value in values]))
        return out

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(30)


def unused_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def increase(values: list[float]) -> float:
    """What a counter grew by, from its birth at nothing: resets are taken as Prometheus takes them."""
    total = values[0]
    for before, after in pairwise(values):
        total += after - before if after >= before else after
    return total
