"""What a real Prometheus says of who held GPUs for how long, beside the truth.

Longer, and at the interval that people use:
LABQ_PROOF_SECONDS=300 LABQ_PROOF_INTERVAL=1 pytest -s tests/integration/exporter/test_prometheus.py
"""

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.engine import BUSYBOX, Engine
from support.exporter import RunningExporter
from support.need import need
from support.nvml import GIB, MockNvml, gpu_line
from support.people import People, Person
from support.prometheus import Prometheus, increase, unused_port
from support.waiting import wait_for

from labq.clock import now
from labq.holding.seal import OWNER_LABEL

SECONDS = float(os.environ.get("LABQ_PROOF_SECONDS", "90"))
#: Seconds between two looks. Each coming and going is seen up to one of these too late or too early; in a run this
#: short that noise alone would be half of what is allowed at the usual 1 s.
INTERVAL = os.environ.get("LABQ_PROOF_INTERVAL", "0.25")
SEED = int(os.environ.get("LABQ_PROOF_SEED", "0"))
SCRAPE = 2.0
GPUS = 12
AT_ONCE = 14
ALLOWED = 0.01
Make = Callable[..., RunningExporter]


class World:
    """What the fake driver lists, and since when: the truth."""

    def __init__(self, nvml: MockNvml) -> None:
        self._nvml = nvml
        self._lock = threading.Lock()
        self._holds: dict[int, tuple[int, str]] = {}
        self._since = time.monotonic()
        self.held: dict[str, float] = {}
        self.events = self.shared = 0
        self._write()

    def put(self, pid: int, hold: tuple[int, str] | None) -> None:
        """Puts a process of a user on a GPU, or takes it away."""
        with self._lock:
            before = dict(self._holds)
            if hold is None:
                del self._holds[pid]
            else:
                self._holds[pid] = hold
            self._write()
            at = time.monotonic()
            self._count(before, at - self._since)
            self._since = at
            self.events += 1

    def _write(self) -> None:
        used = {gpu for gpu, _ in self._holds.values()}
        lines = [gpu_line(gpu, used=8 * GIB, util=60 if gpu in used else 0) for gpu in range(GPUS)]
        procs = [f"proc {gpu} {pid} {GIB}" for pid, (gpu, _) in self._holds.items()]
        self._nvml.write("driver 580.95.05", *lines, *procs)

    def _count(self, holds: dict[int, tuple[int, str]], seconds: float) -> None:
        for gpu in {gpu for gpu, _ in holds.values()}:
            users = {user for where, user in holds.values() if where == gpu}
            self.shared += len(users) > 1
            for user in users:
                self.held[user] = self.held.get(user, 0.0) + seconds / len(users)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be ended after the test."""
    with ExitStack() as made:
        yield made


def begin(engine: Engine, person: Person, kind: str) -> tuple[int, Callable[[], object]]:
    """Starts something of a person's; returns its pid, and how to end it."""
    if kind == "process":
        child = subprocess.Popen(["setpriv", f"--reuid={person.uid}", "--clear-groups", "sleep", "600"])
        comm = Path(f"/proc/{child.pid}/comm")
        wait_for(lambda: comm.read_text() == "sleep\n", 10, "the process to be the person's")

        def end() -> None:
            child.kill()
            child.wait()

        return child.pid, end
    whose = ["--label", f"{OWNER_LABEL}={person.name}"] if kind == "label" else ["-v", f"{person.home}:/h"]
    found = engine.docker(
        "run", "-d", "--label", "labq.test=1", "--network", "none", *whose, BUSYBOX, "sleep", "600"
    ).split()[-1]
    pid = int(engine.client.api.inspect_container(found)["State"]["Pid"])
    return pid, lambda: engine.docker("rm", "-f", found)


@pytest.mark.timeout(SECONDS + 120)
def test_held_seconds_agree_with_the_truth_while_all_comes_and_goes(
    clean_engine: Engine,
    people: People,
    mock_nvml: MockNvml,
    exporters: Make,
    tmp_path: Path,
    stack: ExitStack,
) -> None:
    need(shutil.which("prometheus"), "Prometheus (apt-get install prometheus)")
    world = World(mock_nvml)
    exporter = exporters(
        (clean_engine.host,), LABQ_EXPORTER_PORT=str(unused_port()), LABQ_EXPORTER_INTERVAL=INTERVAL
    )
    exporter.start()
    prometheus = Prometheus(tmp_path / "prometheus", exporter.url.removeprefix("http://"), SCRAPE)
    stack.callback(prometheus.close)
    wait_for(lambda: prometheus.query("up == 1"), 20, "the first scrape")
    over, never = threading.Event(), threading.Event()
    began = time.monotonic()

    def come_and_go(seed: int) -> int:
        dice = random.Random(seed)
        sessions = 0
        while not over.is_set():
            person = dice.choice((people.alice, people.bob, people.carol))
            pid, end = begin(clean_engine, person, dice.choice(("label", "mount", "process")))
            try:
                world.put(pid, (dice.randrange(GPUS), person.name))
                if over.wait(dice.uniform(8, 35)):
                    # Not all in one moment: that would be one coming or going with the weight of fourteen.
                    never.wait(dice.uniform(0, 5))
                world.put(pid, None)
                sessions += 1
            finally:
                end()
            over.wait(dice.uniform(0, 3))
        return sessions

    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(come_and_go, seed) for seed in range(SEED, SEED + AT_ONCE)]
        try:
            for part, how in ((1 / 3, signal.SIGTERM), (2 / 3, signal.SIGKILL)):
                over.wait(max(0.0, began + part * SECONDS - time.monotonic()))
                exporter.restart(how)
            over.wait(max(0.0, began + SECONDS - time.monotonic()))
        finally:
            over.set()
        sessions = sum(each.result() for each in running)
    # Two looks and a scrape after the last of them left.
    newest, done = "labq_exporter_last_collect_timestamp_seconds{collector='processes'}", now()
    wait_for(lambda: prometheus.query(f"{newest} > {done + 2 * float(INTERVAL)}"), 20, "the last scrape")
    stored = prometheus.raw("labq_gpu_user_held_seconds_total", SECONDS + 100)
    downs = sum(value == 0 for _, values in prometheus.raw("up", SECONDS + 100) for value in values)
    told: dict[str, float] = {}
    for labels, values in stored:
        assert values[0] < 2 * SCRAPE + 3, "a counter is not born with what was counted before"
        assert values == sorted(values), f"it went back: {labels}"
        told[labels["user"]] = told.get(labels["user"], 0.0) + increase(values)
    print(f"\n{sessions} sessions, {world.events} changes, {world.shared} shared, {downs} scrapes in vain")
    for user, truth in [*sorted(world.held.items()), ("all", sum(world.held.values()))]:
        said = sum(told.values()) if user == "all" else told.get(user, 0.0)
        print(
            f"{user:<24} truth {truth:9.2f} s  Prometheus {said:9.2f} s  error {100 * (said / truth - 1):+.3f} %"
        )
        assert said == pytest.approx(truth, rel=ALLOWED), user
    assert set(told) == set(world.held), "nobody else is charged"
    assert sessions > 30
    assert world.shared
