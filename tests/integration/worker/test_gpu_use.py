"""The agent's own look at its GPUs: fake NVML, real engine, real Redis. It counts on, whatever hangs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support.engine import BUSYBOX, Engine
from support.nvml import GIB, MockNvml, gpu_line, gpu_uuid
from support.people import People, people
from support.redis import RedisServer
from support.waiting import wait_for

from labq.clock import now
from labq.holding.engines import FIRST
from labq.holding.facts import LeaseFacts
from labq.holding.reading import GpuReading, GpuState
from labq.store import Store
from labq.usage import UsageRow
from labq.wire import LABEL_ATTEMPT, LABEL_JOB, LABEL_LEASE, LABEL_OWNER
from labq_worker.gpu_use import END, GpuUse

__all__ = ["people"]
Using = Callable[..., GpuUse]


@pytest.fixture
def using(
    nvml_here: MockNvml, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Using]:
    """Makes what looks at the GPUs; none of its threads outlives the test."""
    monkeypatch.setattr("labq.holding.watch.XID_WAIT", 0.1)
    before = set(threading.enumerate())
    made: list[GpuUse] = []

    def make(
        *engines: str, leases: Sequence[LeaseFacts] = (), epoch: str = "e1", write_every: float = 60.0
    ) -> GpuUse:
        use = GpuUse(
            Store(redis_url), "n1", epoch, lambda: leases, engines, tmp_path / "key", write_every=write_every
        )
        made.append(use)
        use.start()
        return use

    yield make
    for use in made:
        use.stop()
    nvml_here.write("driver 580.95.05")
    wait_for(lambda: set(threading.enumerate()) <= before, 20, "the threads to end")


@pytest.fixture
def alices(people: People) -> Iterator[int]:
    """The pid of a process of alice's."""
    child = subprocess.Popen(
        ["setpriv", f"--reuid={people.alice.uid}", "--clear-groups", "sleep", "600"], stdin=subprocess.DEVNULL
    )
    wait_for(lambda: Path(f"/proc/{child.pid}/comm").read_text() == "sleep\n", 10, "the process to sleep")
    yield child.pid
    child.kill()
    child.wait()


def on_gpus(nvml: MockNvml, *pids: tuple[int, int], gpus: int = 1, more: Sequence[str] = ()) -> None:
    """Writes which processes (GPU, pid) the driver lists."""
    cards = [gpu_line(index, used=4 * GIB, util=50) for index in range(gpus)]
    nvml.write("driver 580.95.05", *cards, *(f"proc {gpu} {pid} {GIB}" for gpu, pid in pids), *more)


def first_look(use: GpuUse) -> Sequence[GpuReading]:
    def heard() -> Sequence[GpuReading]:
        return use.readings if any(each.watched.sample for each in use.readings) else ()

    return wait_for(heard, 10, "the first look")


def seconds(store: Store) -> dict[tuple[str, str, bool], float]:
    """What is in Redis by (epoch, user, outside)."""
    found: dict[tuple[str, str, bool], float] = {}
    for row in store.usage.read("n1"):
        key = (row.epoch, row.user, row.outside)
        found[key] = found.get(key, 0.0) + row.held
    return found


def rows_of(use: GpuUse) -> list[UsageRow]:
    with use._metering:
        return use._meter.changed()


def test_a_job_is_known_at_the_first_look_and_nobody_else_is_charged_for_it(
    using: Using, nvml_here: MockNvml, clean_engine: Engine, redis_url: str
) -> None:
    lease = LeaseFacts("t1", "7", 1, "bob", {gpu_uuid(0): 0}, now())
    said = {LABEL_LEASE: "t1", LABEL_JOB: "7", LABEL_ATTEMPT: "1", LABEL_OWNER: "bob"}
    labels = [f"--label={name}={value}" for name, value in said.items()]
    run = clean_engine.docker(
        "run", "-d", "--label=labq.test=1", "--network=none", *labels, BUSYBOX, "sleep", "600"
    )
    pid = int(clean_engine.client.api.inspect_container(run.split()[-1])["State"]["Pid"])
    on_gpus(nvml_here, (0, pid))
    use = using(clean_engine.host, leases=[lease])
    (reading,) = first_look(use)
    assert [(each.user, each.job, each.processes) for each in reading.holders] == [("bob", "7", 1)]
    wait_for(lambda: rows_of(use), 10, "something to be counted")
    use.stop()
    assert set(seconds(Store(redis_url))) == {("e1", "bob", False)}


def test_the_first_look_waits_for_an_engine_that_hangs_but_not_for_long(
    using: Using, nvml_here: MockNvml, tmp_path: Path
) -> None:
    on_gpus(nvml_here)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf.sock"))
        deaf.listen(1)
        began = time.monotonic()
        use = using(str(tmp_path / "deaf.sock"))
        first_look(use)
        assert FIRST <= time.monotonic() - began < FIRST + 3


def test_the_last_rows_are_written_when_the_agent_stops_and_lives_add_up(
    using: Using, nvml_here: MockNvml, alices: int, redis_url: str, people: People
) -> None:
    on_gpus(nvml_here, (0, alices))
    for epoch in ("e1", "e2"):
        use = using(epoch=epoch)
        first_look(use)
        began = time.monotonic()
        wait_for(lambda use=use: sum(row.held for row in rows_of(use)) >= 2, 10, "two seconds")  # type: ignore[misc]
        assert (epoch, people.alice.name, True) not in seconds(Store(redis_url))
        use.stop()
        lived = time.monotonic() - began
        written = seconds(Store(redis_url))[epoch, people.alice.name, True]
        # to the end, not to the last whole second
        assert lived - 0.9 < written < lived + 1.1
        assert rows_of(use) == []
    assert len(seconds(Store(redis_url))) == 2


def test_stopping_before_the_start_or_twice_does_nothing(using: Using, nvml_here: MockNvml) -> None:
    on_gpus(nvml_here)
    use = using()
    use.stop()
    use.stop()


def test_a_redis_that_hangs_holds_up_neither_the_looks_nor_the_end(
    using: Using, nvml_here: MockNvml, alices: int, redis_server: RedisServer
) -> None:
    on_gpus(nvml_here, (0, alices))
    use = using(write_every=0.2)
    first_look(use)
    pid = redis_server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        before = sum(row.held for row in rows_of(use))
        wait_for(lambda: sum(row.held for row in rows_of(use)) > before + 3, 10, "looks to go on")
        began = time.monotonic()
        use.stop()
        assert END - 0.1 <= time.monotonic() - began < END + 0.4
    finally:
        os.kill(pid, signal.SIGCONT)


def test_what_was_counted_while_redis_was_away_is_written_when_it_is_back(
    using: Using, nvml_here: MockNvml, alices: int, redis_server: RedisServer, people: People
) -> None:
    on_gpus(nvml_here, (0, alices))
    use = using(write_every=0.2)
    store, key = Store(redis_server.url), ("e1", people.alice.name, True)
    before = wait_for(lambda: seconds(store).get(key), 10, "the first rows") or 0.0
    redis_server.stop()
    wait_for(lambda: sum(row.held for row in rows_of(use)) > before + 2, 10, "looks to go on")
    redis_server.start()
    after = wait_for(lambda: max(0.0, seconds(store).get(key, 0.0) - before - 2), 10, "the rest")
    assert after > 0
    assert not any(row.held > 60 for row in store.usage.read("n1"))


def test_a_gpu_whose_driver_stalls_is_counted_no_more_and_the_others_are(
    using: Using, nvml_here: MockNvml, alices: int, redis_url: str
) -> None:
    on_gpus(nvml_here, (0, alices), (1, alices), gpus=2)
    use = using()
    wait_for(lambda: len(rows_of(use)) == 2, 10, "both GPUs to be counted")
    on_gpus(nvml_here, (0, alices), (1, alices), gpus=2, more=["hang 0"])
    wait_for(lambda: use.readings[0].state is GpuState.LOST, 15, "the first GPU to be lost")
    assert use.readings[1].state is GpuState.BUSY

    def held() -> dict[str, float]:
        return {row.gpu: row.held for row in rows_of(use)}

    stalled = held()
    wait_for(lambda: held()[gpu_uuid(1)] > stalled[gpu_uuid(1)] + 3, 10, "the second to be counted on")
    assert held()[gpu_uuid(0)] - stalled[gpu_uuid(0)] <= 0.6
    use.stop()
    written = {row.gpu: row.held for row in Store(redis_url).usage.read("n1")}
    assert written[gpu_uuid(0)] < written[gpu_uuid(1)] - 2
