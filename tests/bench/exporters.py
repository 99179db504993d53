"""Side by side on the same fake GPUs: labq-exporter, nvitop-exporter, gpustat. Not a test: it prints, it never fails.

    python tests/bench/exporters.py [--venv DIR] [--minutes 1]

DIR is a virtual environment with the other two (made there when it is missing). 8 GPUs and 32 processes: 16 are in
containers whose owners are told by a label or a mounted home (all of them root's by uid), 16 are started by people.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.engine import BUSYBOX, Engine
from support.engine_fixtures import open_engine
from support.exporter import OPENER, RunningExporter
from support.nvml import GIB, LIBRARY, SOURCE, MockNvml, gpu_line
from support.people import People, Person, accounts
from support.prometheus import unused_port
from support.waiting import wait_for

from bench.table import row, title
from labq.holding.seal import OWNER_LABEL

GPUS, PROCESSES, SCRAPES = 8, 32, 300
#: Versions that were measured; another one may do better.
OTHERS = ("nvitop-exporter==1.7.2", "gpustat==1.1.1")


def library(folder: Path) -> MockNvml:
    """Build the fake NVML."""
    named = [f"-Wl,-soname,{LIBRARY}", "-o", str(folder / LIBRARY), str(SOURCE)]
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread", *named], check=True)
    return MockNvml(folder, folder / "nvml.state")


@contextmanager
def processes(engine: Engine, people: People) -> Iterator[list[tuple[int, str]]]:
    """Start what shall be on the GPUs; yields pids and to whom they belong in truth."""
    everybody = (people.alice, people.bob, people.carol)
    made: list[tuple[int, str]] = []
    children = []
    for number in range(PROCESSES):
        person: Person = everybody[number % 3]
        if number % 2:
            child = subprocess.Popen(["setpriv", f"--reuid={person.uid}", "--clear-groups", "sleep", "3600"])
            children.append(child)
            made.append((child.pid, person.name))
            continue
        whose = ["--label", f"{OWNER_LABEL}={person.name}"] if number % 4 else ["-v", f"{person.home}:/h"]
        command = [
            "run",
            "-d",
            "--label",
            "labq.test=1",
            "--network",
            "none",
            *whose,
            BUSYBOX,
            "sleep",
            "3600",
        ]
        found = engine.docker(*command).split()[-1]
        made.append((int(engine.client.api.inspect_container(found)["State"]["Pid"]), person.name))
    try:
        yield made
    finally:
        for child in children:
            child.kill()
            child.wait()
        engine.remove_containers()


def cpu_and_memory(pid: int) -> tuple[float, float]:
    """Return processor seconds and resident megabytes of a process."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    status = Path(f"/proc/{pid}/status").read_text()
    resident = re.search(r"VmRSS:\s+(\d+)", status)
    assert resident
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), int(resident[1]) / 1024


def scrape(url: str) -> tuple[float, str]:
    """Return milliseconds and the page."""
    began = time.perf_counter()
    with OPENER.open(url, timeout=10) as answer:
        text = answer.read().decode()
    return (time.perf_counter() - began) * 1000, text


def measure(name: str, pid: int, url: str, minutes: float, bars: tuple[str, str, str]) -> str:
    """Print the figures of one exporter and return its page."""
    text = scrape(url)[1]
    before, began = cpu_and_memory(pid)[0], time.monotonic()
    times: list[float] = []
    # Spread over the time, as a scraper's are: many at once would measure a warm cache.
    while time.monotonic() - began < minutes * 60 or len(times) < SCRAPES:
        took, text = scrape(url)
        times.append(took)
        time.sleep(max(0.0, minutes * 60 / SCRAPES - took / 1000))
    used, resident = cpu_and_memory(pid)
    series = sum(1 for line in text.splitlines() if line and not line.startswith("#"))
    row(f"{name}: scrape", times, "ms", bars[0])
    row(f"{name}: resident memory", [resident], "MB", bars[1])
    row(f"{name}: series", [series], "", bars[2])
    row(f"{name}: page", [len(text) / 1000], "kB")
    row(f"{name}: processor seconds in a minute", [(used - before) / (time.monotonic() - began) * 60], "s")
    return text


def told(name: str, truth: Counter[str], said: Counter[str]) -> None:
    """Print whom an exporter names."""
    right = sum(min(truth[user], said[user]) for user in truth)
    print(
        f"{name}: owners {dict(sorted(said.items()))}: right for {right} of {sum(truth.values())}", flush=True
    )


def main() -> None:
    """Measure all three, one after the other, on the same state."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--venv", type=Path, default=Path(tempfile.gettempdir()) / "labq-bench-exporters")
    asked.add_argument("--minutes", type=float, default=1.0)
    options = asked.parse_args()
    bins = options.venv / "bin"
    if not (bins / "gpustat").exists():
        subprocess.run([sys.executable, "-m", "venv", str(options.venv)], check=True)
        subprocess.run([str(bins / "pip"), "install", "-q", *OTHERS], check=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine, people = stack.enter_context(open_engine()), stack.enter_context(accounts())
        nvml = library(folder)
        made = stack.enter_context(processes(engine, people))
        nvml.write(
            "driver 580.95.05",
            *(gpu_line(index, used=8 * GIB, util=60) for index in range(GPUS)),
            *(f"proc {number % GPUS} {pid} {GIB}" for number, (pid, _) in enumerate(made)),
        )
        truth = Counter(user for _, user in made)
        title(f"{GPUS} GPUs, {PROCESSES} processes, {SCRAPES} scrapes each")
        print(f"the truth: {dict(sorted(truth.items()))}")
        _ours(nvml, folder, engine, truth, options.minutes)
        _nvitop(bins, nvml, truth, options.minutes)
        _gpustat(bins, nvml, truth)


def _ours(nvml: MockNvml, folder: Path, engine: Engine, truth: Counter[str], minutes: float) -> None:
    exporter = RunningExporter(nvml, folder, (engine.host,), LABQ_EXPORTER_INTERVAL="1").start()
    try:
        exporter.wait(lambda page: page.rows("labq_gpu_holder_info", gpu=str(GPUS - 1)))
        wait_for(lambda: exporter.page().rows("labq_container_info"), 30, "the containers")
        bars = ("< 5", "< 45", "fewer than nvitop-exporter")
        measure("labq-exporter", exporter.pid, f"{exporter.url}/metrics", minutes, bars)
        said: Counter[str] = Counter()
        for labels, value in exporter.page().rows("labq_gpu_user_processes"):
            said[labels["user"]] += int(value)
        told("labq-exporter", truth, said)
    finally:
        exporter.close()


def _nvitop(bins: Path, nvml: MockNvml, truth: Counter[str], minutes: float) -> None:
    port = unused_port()
    command = [str(bins / "nvitop-exporter"), "--bind-address", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        command,
        env=nvml.env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}/metrics"
        wait_for(
            lambda: "process_info" in scrape(url)[1], 30, "nvitop-exporter to show processes", interval=0.5
        )
        text = measure("nvitop-exporter", process.pid, url, minutes, ("", "", ""))
        found = re.findall(r'^process_gpu_memory_MiB\{[^}]*username="([^"]*)"', text, re.M)
        told("nvitop-exporter", truth, Counter(found))
    finally:
        process.kill()
        process.wait()


def _gpustat(bins: Path, nvml: MockNvml, truth: Counter[str]) -> None:
    times, output = [], ""
    for _ in range(20):
        began = time.perf_counter()
        output = subprocess.run(
            [str(bins / "gpustat"), "--json"], env=nvml.env(), capture_output=True, text=True, check=True
        ).stdout
        times.append((time.perf_counter() - began) * 1000)
    row("gpustat: one run (it has no page)", times, "ms")
    listed = [process for gpu in json.loads(output)["gpus"] for process in gpu["processes"]]
    told("gpustat", truth, Counter(process["username"] for process in listed))


if __name__ == "__main__":
    main()
