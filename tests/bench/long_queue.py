"""Lists, questions and decisions beside a queue of 10,000 jobs: `python tests/bench/long_queue.py [pending]`.

A real server, a Redis of its own, 125 nodes of 8 GPUs that beat and whose agents are played here. 200 people ask for 500
shapes; few of them have most jobs. A job ends every second or so, as in a lab of that size.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import httpx
from builders import GB, make_node
from integration.scheduler_api.server_process import Server
from support.lab import BIN
from support.redis import open_redis
from support.waiting import wait_for

from bench.table import row, title
from labq import moves
from labq.clock import monotonic, now
from labq.ending import EndReason, Judgement
from labq.errors import LabqError
from labq.gpu_request import GpuRequest
from labq.image import ImageOnNode, image_key
from labq.job import Job
from labq.moves import Claim
from labq.node import Node
from labq.spec import JobSpec
from labq.states import JobState

NODES, PEOPLE, SHAPES, RUNS = 125, 200, 500, 10
MODELS = {"T4": 16, "RTX3090": 24, "V100": 32, "A100": 80}
ROUNDS = 20


class Town:
    """The nodes, the people and what they ask for."""

    def __init__(self, server: Server, pending: int) -> None:
        self.server, self.store = server, server.store
        self.random = random.Random(1)
        models = list(MODELS)
        self.nodes: list[Node] = [
            make_node(f"n{i:03d}", gpus=8, model=models[i % 4], gpu_memory=MODELS[models[i % 4]] * GB, cpus=64, memory=512 * GB)
            for i in range(NODES)
        ]  # fmt: skip
        self.specs = [self._spec(number) for number in range(SHAPES)]
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        key = image_key(self.specs[0])
        for node in self.nodes:
            self.store.nodes.register(node, now=now(), readings=_readings(node))
            self.store.images.set(key, node.name, ImageOnNode("ready", now(), "sha256:1"))
        for number in range(PEOPLE):
            for _ in range(RUNS):
                self._past(f"user{number:03d}", self.random.choice(self.specs))
        for _ in range(pending):
            person = min(PEOPLE, int(self.random.paretovariate(0.7))) - 1
            self._submit(f"user{person:03d}", self.random.choice(self.specs))

    def _spec(self, number: int) -> JobSpec:
        count = self.random.choice([1, 1, 1, 2, 2, 4, 8])
        model = self.random.choice([(), (), *((name.lower(),) for name in MODELS)])
        return JobSpec(
            image="bench", gpus=GpuRequest(count, model), cpus=float(count), memory=(64 + number) * 2**20
        )

    def _submit(self, owner: str, spec: JobSpec) -> str:
        job = Job(
            id="0", owner=owner, uid=1, gid=1, spec=spec, state=JobState.QUEUED, submitted_at=now(), seq=0,
            image_key=image_key(spec),
        )  # fmt: skip
        return self.store.jobs.submit(job, indices=None, now=now()).id

    def _past(self, owner: str, spec: JobSpec) -> None:
        """Let a job have run."""
        job = self.store.jobs.get(self._submit(owner, spec))
        claim = Claim(f"past{job.id}", self.nodes[0], (), 0.01, 1)
        seconds = self.random.lognormvariate(8, 1.5)
        began = now() - 86_000 + self.random.uniform(0, 40_000)
        leased = moves.starting(job, claim)
        self.store.jobs.move(job, leased, now=began, by="bench", claim=claim)
        runs = moves.running(leased, began, "sha256:1")
        self.store.jobs.move(leased, runs, now=began, by="bench")
        over = moves.ended(runs, Judgement(EndReason.COMPLETED, "Over."), 0, min(now(), began + seconds))
        self.store.jobs.move(runs, over, now=now(), by="bench")

    def start(self) -> None:
        """Let the nodes beat, and jobs start and end."""
        for work in (self._beat, self._work):
            self._threads.append(threading.Thread(target=work, daemon=True))
            self._threads[-1].start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)

    def _beat(self) -> None:
        while not self._stop.wait(5.0):
            for node in self.nodes:
                self.store.nodes.heartbeat(node.name, _readings(node), now=now())

    def _work(self) -> None:
        """Play the agents: what is leased runs, and something that runs ends every second."""
        running: dict[str, Job] = {}
        while not self._stop.wait(1.0):
            ids = self.store.jobs.active_ids()
            for job in self.store.jobs.get_many(ids[:3000]):
                try:
                    if job.state is JobState.STARTING:
                        runs = moves.running(job, now(), "sha256:1")
                        self.store.jobs.move(job, runs, now=now(), by="bench")
                        running[job.id] = runs
                    elif job.state is JobState.RUNNING:
                        running[job.id] = job
                except LabqError as error:
                    print(error.what)
            if running:
                job = running.pop(self.random.choice(list(running)))
                over = moves.ended(job, Judgement(EndReason.COMPLETED, "Over."), 0, now())
                self.store.jobs.move(job, over, now=now(), by="bench")


def _readings(node: Node) -> dict[str, object]:
    return {"gpus": {gpu.uuid: {"state": "free", "memory_used": 0, "holders": []} for gpu in node.gpus}}


def decide_times(server: Server) -> tuple[dict[str, float], float, float]:
    """Return how many decisions took no longer than each bound, the sum of their seconds, and how many there were."""
    found: dict[str, float] = {}
    for line in httpx.get(f"{server.url}/metrics").text.splitlines():
        if line.startswith("labq_scheduler_decision_seconds") and 'phase="decide"' in line:
            name, _, value = line.rpartition(" ")
            key = name.partition('le="')[2].partition('"')[0] or name.partition("{")[0].rpartition("_")[2]
            found[key] = float(value)
    return found, found.pop("sum"), found.pop("count")


def main() -> None:
    """Print the figures."""
    pending = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with open_redis() as redis:
        folder = Path(tempfile.mkdtemp(prefix="labq-bench-"))
        server = Server(redis, folder / "data", "--max-queued-per-user", "20000")
        town = Town(server, pending)
        client = server.person("user000", admin=True)
        try:
            server.start()
            town.start()
            measure(server, client, folder)
        finally:
            town.close()
            server.close()


def measure(server: Server, client: httpx.Client, folder: Path) -> None:
    """Print what a person waits for."""
    title("10,000 jobs queued")
    wait_for(lambda: len(client.get("/v1/jobs?state=running&owner=*").json()) > 100, 60, "jobs that run")
    env = {
        "PATH": os.environ["PATH"], "LABQ_SERVER": server.url, "LABQ_CONFIG": "/dev/null",
        "LABQ_TOKEN": client.headers["authorization"].removeprefix("Bearer "),
        **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
    }  # fmt: skip

    def command(*words: str) -> float:
        began = monotonic()
        subprocess.run(
            [sys.executable, str(BIN / "labq"), *words], env=env, capture_output=True, check=True, cwd=folder
        )
        return (monotonic() - began) * 1000

    def request(path: str) -> float:
        began = monotonic()
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        return (monotonic() - began) * 1000

    quiet(server, "nobody asks")
    row("labq version", [command("version") for _ in range(ROUNDS)], "ms")
    for words in (["ls"], ["ls", "--all"]):
        row(f"labq {' '.join(words)}", [command(*words) for _ in range(ROUNDS)], "ms", "< 150")
    row("labq ls --all --limit 0", [command("ls", "--all", "--limit", "0") for _ in range(3)], "ms")
    for path in ("/v1/jobs", "/v1/jobs?owner=*"):
        row(f"GET {path}", [request(path) for _ in range(ROUNDS)], "ms")
    row("GET /v1/jobs?owner=*&limit=10000", [request("/v1/jobs?owner=*&limit=10000") for _ in range(5)], "ms")
    began = monotonic()
    queued = "/v1/jobs?state=queued&owner=*"
    wait_for(lambda: any(row["estimated_start"] for row in client.get(queued).json()), 120, "a forecast")
    print(f"the first estimates after {monotonic() - began:.0f} s")
    job = client.get("/v1/jobs?state=queued&owner=*").json()[-1]["id"]
    row("GET /v1/jobs/ID/why", [request(f"/v1/jobs/{job}/why") for _ in range(5)], "ms", "< 1000")
    row("labq why ID", [command("why", job) for _ in range(5)], "ms", "< 1000")
    print(client.get(f"/v1/jobs/{job}/why").json())
    rows = client.get("/v1/jobs?state=queued&owner=*&limit=10000").json()
    print(f"estimates in the list: {sum(1 for row in rows if row['estimated_start'])} of {len(rows)}")
    quiet(server, "while somebody asks", lambda: request("/v1/jobs?owner=*"))


def quiet(server: Server, what: str, ask: object = None) -> None:
    """Print how long decisions took in 20 s."""
    before, began = decide_times(server), monotonic()
    while monotonic() - began < 30:
        if callable(ask):
            ask()
        threading.Event().wait(0.5)
    after = decide_times(server)
    count = after[2] - before[2]
    more = {
        bound: int(value - before[0][bound]) for bound, value in after[0].items() if "0.01" <= bound <= "0.25"
    }
    print(
        f"decisions, {what}: {count:.0f}, mean {1000 * (after[1] - before[1]) / max(1, count):.1f} ms; within s: {more}"
    )


if __name__ == "__main__":
    main()
