"""A small lab that a real Prometheus watches: real exporter, fake driver, real processes and container, canned server."""

import json
import subprocess
import threading
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from labq.clock import now
from labq.holding.facts import LeaseFacts
from labq.holding.leases import write_leases
from labq.wire import LABEL_ATTEMPT, LABEL_JOB, LABEL_LEASE, LABEL_OWNER
from support.engine import BUSYBOX, Engine
from support.exporter import RunningExporter
from support.grafana import REPO, Asked, asked, filled
from support.nvml import GIB, MockNvml, gpu_line, gpu_uuid
from support.people import People
from support.prometheus import OPENER, Prometheus
from support.waiting import wait_for
from support.watched_pages import Giver, Said

CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [{rules}, {recorded}]
scrape_configs:
  - job_name: labq-node
    static_configs: [{{targets: ["{exporter}"], labels: {{node: n1}}}}]
  - job_name: node
    static_configs: [{{targets: ["{machine}"], labels: {{node: n1}}}}]
  - job_name: labq-server
    honor_labels: true
    static_configs: [{{targets: ["{server}"]}}]
"""
#: Fires as soon as the trouble begins: a GPU is lost.
RULES = """
groups:
  - name: test
    rules:
      - {alert: LabqGpuLost, expr: labq_gpu_up == 0, labels: {severity: critical}}
      - {alert: LabqWatchdog, expr: vector(1), labels: {severity: none}}
"""
JOB = "3"
GPUS = 6
Series = dict[str, Any]


class Lab:
    """GPU 0: a job of alice's; in trouble, 1: bob's process, 2: nobody knows whose, 3: free, 4: lost, 5: reserved."""

    def __init__(self, folder: Path, engine: Engine, people: People, library: Path) -> None:
        self.people, self._engine = people, engine
        self._nvml = MockNvml(library, folder / "nvml.state")
        self._said = Said(people)
        self._givers = [Giver(self._said.server), Giver(self._said.machine)]
        self._exporter = RunningExporter(self._nvml, folder, (engine.host,))
        self._over = threading.Event()
        self._agent = threading.Thread(target=self._lease_on)
        self._bob: subprocess.Popen[bytes] | None = None
        self.calm: dict[Asked, list[Series]] = {}
        self._job = self._container()
        self._world()
        # Before the exporter looks: or for a moment the job would be outside the queue.
        self._lease()
        self._exporter.start()
        self._agent.start()
        (folder / "rules.yml").write_text(RULES)
        config = CONFIG.format(
            rules=folder / "rules.yml",
            recorded=REPO / "dashboards" / "prometheus" / "rules" / "recording.yml",
            exporter=self._exporter.url.removeprefix("http://"),
            server=self._givers[0].target,
            machine=self._givers[1].target,
        )
        self.prometheus = Prometheus(folder / "prometheus", "", 1, config)

    def _container(self) -> int:
        labels = {
            LABEL_JOB: JOB,
            LABEL_ATTEMPT: "1",
            LABEL_LEASE: "token",
            LABEL_OWNER: self.people.alice.name,
        }
        said = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
        start = ("run", "-d", "--label", "labq.test=1", "--network", "none", *said, BUSYBOX, "sleep", "900")
        self._id = self._engine.docker(*start).split()[-1]
        return int(self._engine.client.api.inspect_container(self._id)["State"]["Pid"])

    def _lease(self) -> None:
        leases = [LeaseFacts("token", JOB, 1, self.people.alice.name, {gpu_uuid(0): 0}, now())]
        if self._said.trouble:
            leases.append(LeaseFacts("later", "4", 1, self.people.carol.name, {gpu_uuid(5): 0}, now()))
        write_leases(self._exporter.run_dir, "n1", leases, now=now())

    def _lease_on(self) -> None:
        while not self._over.wait(0.5):
            self._lease()

    def _world(self, *more: str) -> None:
        used = (0, 1, 2) if more else (0,)
        cards = [gpu_line(gpu, used=8 * GIB * (gpu in used), util=70 * (gpu == 0)) for gpu in range(GPUS)]
        limits = [f"slowdown {gpu} 90" for gpu in range(GPUS)]
        self._nvml.write("driver 580.95.05", *cards, *limits, f"proc 0 {self._job} {4 * GIB}", *more)

    def begin_trouble(self) -> None:
        """People outside the queue, ill cards, jobs that wait."""
        uid = self.people.bob.uid
        self._bob = subprocess.Popen(["setpriv", f"--reuid={uid}", "--clear-groups", "sleep", "900"])
        comm = Path(f"/proc/{self._bob.pid}/comm")
        wait_for(lambda: comm.read_text() == "sleep\n", 10, "the process to be bob's")
        self._world(
            f"proc 1 {self._bob.pid} {6 * GIB}",
            "proc 2 4194303 1073741824",
            "ecc 1 5 2",
            "remap 1 0 1 1 1",
            "throttle 1 64",
            "xid 1 79",
            "lost 4",
        )
        self._said.trouble = True

    def series(self, expr: str) -> list[Series]:
        """What an instant query returns, without values that are no numbers."""
        found = self.prometheus.query(expr)
        return [dict(each) for each in found if not _is_nan(each)]

    def over_time(self, expr: str, seconds: float = 30) -> list[Series]:
        """What a range query of the last seconds returns."""
        words = {"query": expr, "start": now() - seconds, "end": now(), "step": 1}
        url = f"{self.prometheus.url}/api/v1/query_range?{urllib.parse.urlencode(words)}"
        with OPENER.open(url, timeout=10) as answer:
            return list(json.load(answer)["data"]["result"])

    def newest(self) -> float:
        """When the exporter was last asked, in seconds since the epoch."""
        (found,) = self.prometheus.query('timestamp(up{job="labq-node"})')
        value = found["value"]
        assert isinstance(value, list)
        return float(value[1])

    def label_values(self, label: str, series: str) -> set[str]:
        """What Grafana asks for a variable."""
        words = urllib.parse.urlencode({"match[]": series})
        with OPENER.open(f"{self.prometheus.url}/api/v1/label/{label}/values?{words}", timeout=10) as answer:
            return set(json.load(answer)["data"])

    def close(self) -> None:
        """End all that was started."""
        self._over.set()
        if self._agent.is_alive():
            self._agent.join()
        if self._bob is not None:
            self._bob.kill()
            self._bob.wait()
        self._exporter.close()
        for giver in self._givers:
            giver.close()
        self._engine.docker("rm", "-f", self._id)
        if hasattr(self, "prometheus"):
            self.prometheus.close()


def _is_nan(series: dict[str, object]) -> bool:
    value = series["value"]
    assert isinstance(value, list)
    return bool(value[1] == "NaN")


def answers(lab: Lab) -> dict[Asked, list[Series]]:
    """What every expression of every panel returns now."""
    return {each: lab.series(filled(each.expr, step="1s")) for each in asked()}
