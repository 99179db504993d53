"""How long a decision takes, when one job has ended: `python tests/bench/deciding.py [pending gpus shapes users]`.

The lab is full but for the GPUs of the job that ended; who waits asks for 1 to 8 GPUs of one of four models or of any, and
people submit as people do (Pareto: a fifth of them have most jobs). Timed is what the server's loop does between the event
and the decision: freeze the queue, make the snapshot, decide. The seed is fixed.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from builders import GB, make_node

from bench.table import row, title
from labq.clock import monotonic
from labq.gpu_request import GpuRequest
from labq.image import Image, ImageOnNode
from labq.job import GpuHold, Job
from labq.node import Node
from labq.spec import JobSpec
from labq.states import JobState
from labq_scheduler.decide import decide
from labq_scheduler.pending import Pending
from labq_scheduler.policy.ground import Ground
from labq_scheduler.policy.rules import Rules
from labq_scheduler.policy.runtimes import Runtimes
from labq_scheduler.snapshot import Snapshot, kind_of

MODELS = {"t4": 16, "rtx3090": 24, "v100": 32, "a100": 80}
ROUNDS = 200
IMAGE = "ref:bench"


class Lab:
    """A full lab."""

    def __init__(self, pending: int, gpus: int, shapes: int, users: int) -> None:
        self.random = random.Random(1)
        self.now = 1_000_000.0
        models = list(MODELS)
        self.nodes: list[Node] = [
            make_node(
                f"n{i:04d}", gpus=8, model=models[i % 4].upper(), gpu_memory=MODELS[models[i % 4]] * GB,
                cpus=64, memory=512 * GB,
            )
            for i in range(gpus // 8)
        ]  # fmt: skip
        self.people = [f"user{i:03d}" for i in range(users)]
        self.runtimes = Runtimes()
        self.specs = [self.spec(i) for i in range(shapes)]
        self.pending = Pending(self.runtimes)
        self.holding: dict[str, tuple[Job, ...]] = {}
        self.number = 0
        for person in self.people:
            for _ in range(30):
                job = self.job(self.random.choice(self.specs), person)
                self.runtimes.add(kind_of(job), self.random.lognormvariate(8, 2))
        for node in self.nodes:
            self.fill(node)
        for _ in range(pending):
            # shares like those of a Pareto distribution: few people have many jobs
            person = self.people[min(users - 1, int(self.random.paretovariate(0.7)) - 1)]
            self.pending.add(self.job(self.random.choice(self.specs), person))
        self.image = Image(IMAGE, {node.name: ImageOnNode("ready", 0.0, "sha256:1") for node in self.nodes})
        self.ground = Ground()

    def spec(self, number: int) -> JobSpec:
        """Return a spec whose shape differs from that of every other number."""
        count = self.random.choice([1, 1, 1, 2, 2, 4, 8])
        model = self.random.choice([(), (), *(((name,),)[0] for name in MODELS)])
        return JobSpec(
            image="bench", gpus=GpuRequest(count, model), cpus=float(count), memory=(1 + number) * 2**20
        )

    def job(self, spec: JobSpec, owner: str) -> Job:
        """Return a queued job."""
        self.number += 1
        return Job(
            id=str(self.number), owner=owner, uid=1, gid=1, spec=spec, state=JobState.QUEUED,
            submitted_at=self.now - 100_000 + self.number, seq=self.number, image_key=IMAGE,
        )  # fmt: skip

    def fill(self, node: Node) -> None:
        """Let jobs hold all GPUs of a node."""
        free = [gpu.uuid for gpu in node.gpus]
        rows = []
        while free:
            count = min(len(free), self.random.choice([1, 1, 2, 4]))
            spec = JobSpec(image="bench", gpus=GpuRequest(count), cpus=float(count), memory=GB)
            job = self.job(spec, self.random.choice(self.people))
            rows.append(
                replace(
                    job, state=JobState.RUNNING, node=node.name, gpus=tuple(GpuHold(free.pop()) for _ in range(count)),
                    cpus=float(count), memory=GB, attempt=1, lease="x",
                    started_at=self.now - self.random.uniform(0, 20_000),
                )
            )  # fmt: skip
        self.holding[node.name] = tuple(rows)

    def decide(self) -> float:
        """Decide and apply; return the milliseconds from the event to the decision."""
        usage = {person: float(i) for i, person in enumerate(self.people)}
        began = monotonic()
        snapshot = Snapshot(
            self.now, self.nodes, self.holding, self.pending.frozen(), (), {}, {IMAGE: self.image}, {}, usage,
            self.runtimes,
        )  # fmt: skip
        decisions = decide(snapshot, Rules(), self.ground)
        took = (monotonic() - began) * 1000
        for start in decisions.starts:
            self.pending.remove(start.job)
            runs = replace(
                start.job, state=JobState.RUNNING, node=start.node, gpus=start.fit.gpus, cpus=start.fit.cpus,
                memory=start.fit.memory, attempt=1, lease="x", started_at=self.now,
            )  # fmt: skip
            self.holding[start.node] = (*self.holding.get(start.node, ()), runs)
        return took

    def end_one(self) -> None:
        """Let a running job end, ten seconds later."""
        self.now += 10
        name = self.random.choice([name for name, jobs in self.holding.items() if jobs])
        job = self.random.choice(self.holding[name])
        self.holding[name] = tuple(other for other in self.holding[name] if other is not job)
        self.runtimes.add(kind_of(job), self.now - (job.started_at or self.now))


def measure(pending: int, gpus: int, shapes: int, users: int, rounds: int = ROUNDS, bar: str = "") -> None:
    """Print the milliseconds of one size."""
    lab = Lab(pending, gpus, shapes, users)
    lab.decide()
    classes = len(lab.pending.frozen().keys)
    times = []
    for _ in range(rounds):
        lab.end_one()
        times.append(lab.decide())
    what = f"{pending:,} pending, {classes:,} classes, {gpus:,} GPUs"
    row(what, times, "ms", bar)
    print(f"{'':<58} p99 {sorted(times)[int(0.99 * len(times))]:.2f} ms")


def main() -> None:
    """Print the table, or one size that is named."""
    if len(sys.argv) > 1:
        pending, gpus, shapes, users = (int(text) for text in sys.argv[1:5])
        measure(pending, gpus, shapes, users)
        return
    title("a decision after one job has ended")
    measure(10_000, 1_000, 500, 200, bar="median ≤ 10, p99 ≤ 50")
    for pending in (1_000, 10_000, 100_000):
        for gpus in (104, 1_000, 10_000):
            measure(pending, gpus, 500, 200, rounds=60)


if __name__ == "__main__":
    main()
