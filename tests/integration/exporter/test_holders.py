"""Who is named on the page: containers, leases and processes of several people; engines that come, go and hang."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.engine import BUSYBOX, Engine
from support.exporter import Page, RunningExporter
from support.nvml import GIB, MockNvml, gpu_line, gpu_uuid
from support.people import People
from support.waiting import wait_for

from labq.clock import now
from labq.holding.facts import LeaseFacts
from labq.holding.leases import write_leases
from labq.holding.seal import OWNER_LABEL
from labq.wire import LABEL_ATTEMPT, LABEL_JOB, LABEL_LEASE, LABEL_OWNER

Make = Callable[..., RunningExporter]


class Bench:
    """An engine, people, a fake driver, and one exporter that sees them all."""

    def __init__(self, engine: Engine, people: People, nvml: MockNvml, exporter: RunningExporter) -> None:
        self.engine, self.people, self.nvml, self.exporter = engine, people, nvml, exporter
        self.processes: list[subprocess.Popen[bytes]] = []

    def container(self, *options: str) -> tuple[str, int]:
        """Starts a container; its id and the pid of its first process."""
        command = (
            "run",
            "-d",
            "--label",
            "labq.test=1",
            "--network",
            "none",
            *options,
            BUSYBOX,
            "sleep",
            "600",
        )
        found = self.engine.docker(*command).split()[-1]
        return found, int(self.engine.client.api.inspect_container(found)["State"]["Pid"])

    def person(self, uid: int) -> int:
        """Starts a person's process outside containers."""
        child = subprocess.Popen(["setpriv", f"--reuid={uid}", "--clear-groups", "sleep", "600"])
        self.processes.append(child)
        comm = Path(f"/proc/{child.pid}/comm")
        wait_for(lambda: comm.read_text() == "sleep\n", 5, "the process to be the person's")
        return child.pid

    def on_gpus(self, *pids: tuple[int, int], gpus: int = 2) -> None:
        """Writes which processes (GPU, pid) the driver lists, 1 GiB each."""
        lines = [gpu_line(index, used=4 * GIB, util=50) for index in range(gpus)]
        self.nvml.write("driver 580.95.05", *lines, *(f"proc {gpu} {pid} {GIB}" for gpu, pid in pids))

    def holders(self, page: Page, **labels: str) -> set[tuple[str, str, str, str]]:
        rows = page.rows("labq_gpu_holder_info", **labels)
        return {(row["gpu"], row["user"], row["source"], row["disputed"]) for row, _ in rows}

    def expect(self, *wanted: tuple[str, str, str, str], timeout: float = 15) -> Page:
        """Waits until these (gpu, user, source, disputed), and no others, are named."""
        return self.exporter.wait(lambda page: self.holders(page) == set(wanted), timeout, f"{wanted}")

    def close(self) -> None:
        for child in self.processes:
            child.kill()
            child.wait()


@pytest.fixture
def bench(clean_engine: Engine, people: People, mock_nvml: MockNvml, exporters: Make) -> Iterator[Bench]:
    made = Bench(clean_engine, people, mock_nvml, exporters((clean_engine.host,)))
    made.on_gpus()
    made.exporter.start()
    yield made
    made.close()


def test_several_people_on_two_gpus_each_by_the_rule_that_names_him(bench: Bench) -> None:
    alice, bob, carol = bench.people.alice, bench.people.bob, bench.people.carol
    _, labelled = bench.container("--label", f"{OWNER_LABEL}={alice.name}", "--name", "labq-test-labelled")
    _, mounted = bench.container("-v", f"{bob.home}:/home")
    _, nobody = bench.container()
    bench.on_gpus((0, labelled), (0, mounted), (1, bench.person(carol.uid)), (1, nobody))
    page = bench.expect(
        ("0", alice.name, "label", "false"), ("0", bob.name, "mount", "false"),
        ("1", carol.name, "uid", "false"), ("1", "unknown", "none", "false"),
    )  # fmt: skip
    assert "root" not in {row["user"] for row, _ in page.rows("labq_gpu_holder_info")}
    assert page.value("labq_gpu_holder_info", container="labq-test-labelled", image=BUSYBOX) == 1
    assert page.value("labq_gpu_user_memory_used_bytes", gpu="0", user=alice.name) == GIB
    assert page.value("labq_gpu_memory_unattributed_bytes", gpu="0") == 2 * GIB
    started = page.value("labq_gpu_holder_start_time_seconds", gpu="1", user=carol.name)
    assert started is not None
    assert abs(now() - started) < 60
    # Two share each of them: half each.
    held = "labq_gpu_user_held_seconds_total"
    later = bench.exporter.wait(lambda page: (page.value(held, gpu="1", user=carol.name) or 0) > 1)
    mine, other = (later.value(held, gpu="1", user=user) or 0 for user in (carol.name, "unknown"))
    assert mine == pytest.approx(other, abs=0.3)


def test_a_containers_processor_time_and_memory_are_its_owners(bench: Bench) -> None:
    alice = bench.people.alice
    bench.engine.docker(
        "run", "-d", "--label", "labq.test=1", "--network", "none", "--name", "labq-test-burner",
        "--label", f"{OWNER_LABEL}={alice.name}", BUSYBOX, "sh", "-c", "while :; do :; done",
    )  # fmt: skip
    page = bench.exporter.wait(
        lambda page: (page.value("labq_container_cpu_seconds_total", container="labq-test-burner") or 0) > 1,
        40, "the processor time of the container",
    )  # fmt: skip
    assert page.value("labq_container_info", container="labq-test-burner", user=alice.name) == 1
    assert (page.value("labq_container_memory_bytes", container="labq-test-burner", user=alice.name) or 0) > 0
    assert page.rows("labq_user_cpu_seconds_total", user=alice.name)


def test_an_engine_that_is_away_or_restarts_takes_no_name_away(bench: Bench) -> None:
    alice, bob = bench.people.alice, bench.people.bob
    _, mine = bench.container("--label", f"{OWNER_LABEL}={alice.name}")
    bench.on_gpus((0, mine))
    bench.expect(("0", alice.name, "label", "false"))
    bench.engine.stop()
    look = "labq_exporter_last_collect_timestamp_seconds"
    before = bench.exporter.page().value(look, collector="processes") or 0.0
    page = bench.exporter.wait(lambda page: (page.value(look, collector="processes") or 0) > before + 2)
    assert bench.holders(page) == {("0", alice.name, "label", "false")}
    bench.engine.start()
    _, new = bench.container("--label", f"{OWNER_LABEL}={bob.name}")
    bench.on_gpus((0, mine), (1, new))
    bench.expect(("0", alice.name, "label", "false"), ("1", bob.name, "label", "false"), timeout=30)


def test_an_engine_that_hangs_holds_up_neither_looks_nor_scrapes_nor_the_end(bench: Bench) -> None:
    alice, carol = bench.people.alice, bench.people.carol
    _, mine = bench.container("--label", f"{OWNER_LABEL}={alice.name}")
    bench.on_gpus((0, mine))
    bench.expect(("0", alice.name, "label", "false"))
    assert bench.engine.pid
    os.kill(bench.engine.pid, signal.SIGSTOP)
    try:
        bench.on_gpus((0, mine), (1, bench.person(carol.uid)))
        bench.expect(("0", alice.name, "label", "false"), ("1", carol.name, "uid", "false"), timeout=5)
        # Also a life that begins while it hangs: the container has no name then, but an id.
        began = time.monotonic()
        assert bench.exporter.end() == 0
        assert time.monotonic() - began < 3
        bench.exporter.start()
        page = bench.expect(("0", "unknown", "none", "false"), ("1", carol.name, "uid", "false"))
        assert len(page.rows("labq_gpu_holder_info", gpu="0")[0][0]["container"]) == 12
        assert page.value("labq_exporter_last_collect_success", collector="containers") == 0
    finally:
        os.kill(bench.engine.pid, signal.SIGCONT)
    bench.expect(("0", alice.name, "label", "false"), ("1", carol.name, "uid", "false"), timeout=30)


def test_a_restart_charges_nobody_unknown_while_the_engine_is_asked(bench: Bench) -> None:
    alice = bench.people.alice
    _, mine = bench.container("--label", f"{OWNER_LABEL}={alice.name}")
    bench.on_gpus((0, mine))
    bench.expect(("0", alice.name, "label", "false"))
    for how in (signal.SIGKILL, signal.SIGTERM) * 2:
        bench.exporter.restart(how)
        bench.expect(("0", alice.name, "label", "false"))
    page = bench.exporter.page()
    assert {row["user"] for row, _ in page.rows("labq_gpu_user_held_seconds_total")} == {alice.name}


def said(job: str, token: str, owner: str) -> list[str]:
    rows = {LABEL_JOB: job, LABEL_ATTEMPT: "1", LABEL_LEASE: token, LABEL_OWNER: owner}
    return [word for key, value in rows.items() for word in ("--label", f"{key}={value}")]


class Agent:
    """Writes the leases file again and again, as the node's agent does."""

    def __init__(self, run_dir: Path, *leases: LeaseFacts) -> None:
        self._run_dir, self.leases = run_dir, list(leases)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            write_leases(self._run_dir, "node1", self.leases, now=now())
            self._stop.wait(0.2)

    def __enter__(self) -> "Agent":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_the_queues_labels_count_with_their_lease_and_a_forged_one_names_its_maker(bench: Bench) -> None:
    alice, bob = bench.people.alice, bench.people.bob
    lease = LeaseFacts("token-of-12", "12", 1, alice.name, {gpu_uuid(0): 0}, now())
    _, job = bench.container(*said("12", "token-of-12", alice.name))
    _, forged = bench.container("-v", f"{bob.home}:/b", *said("13", "no-such-token", alice.name))
    with Agent(bench.exporter.run_dir, lease) as agent:
        page = bench.expect(("0", alice.name, "queue", "false"))
        assert page.value("labq_gpu_state", gpu="0") == 1
        bench.on_gpus((0, job), (1, forged))
        page = bench.expect(("0", alice.name, "queue", "false"), ("1", bob.name, "mount", "true"))
        assert page.value("labq_gpu_holder_info", gpu="0", job_id="12") == 1
        assert page.value("labq_gpu_holder_info", gpu="1", job_id="") == 1
        assert page.value("labq_gpu_state", gpu="0") == 3
        held = "labq_gpu_user_held_seconds_total"
        bench.exporter.wait(
            lambda page: (page.value(held, gpu="0", user=alice.name, scope="queue") or 0) > 0.5
            and (page.value(held, gpu="1", user=bob.name, scope="outside") or 0) > 0.5
        )
        assert not bench.exporter.page().rows(held, gpu="1", user=alice.name)
        # Its lease ends before the last process does: that is still the job's.
        agent.leases.clear()
        before = bench.exporter.page().value(held, gpu="0", user=alice.name, scope="queue") or 0
        page = bench.exporter.wait(
            lambda page: (page.value(held, gpu="0", user=alice.name, scope="queue") or 0) > before + 1
        )
        assert not page.rows(held, gpu="0", scope="outside")


def test_a_leases_file_that_is_missing_stale_broken_or_anothers_reserves_nothing(bench: Bench) -> None:
    alice = bench.people.alice
    lease = LeaseFacts("t", "12", 1, alice.name, {gpu_uuid(0): 0}, now())
    file = bench.exporter.run_dir / "leases" / "node1.json"
    write_leases(bench.exporter.run_dir, "node1", [lease], now=now())
    bench.expect(("0", alice.name, "queue", "false"))
    good = file.read_text()

    def stale() -> None:
        write_leases(bench.exporter.run_dir, "node1", [lease], now=now() - 60)

    def again() -> None:
        write_leases(bench.exporter.run_dir, "node1", [lease], now=now())

    for spoil in (
        file.unlink,
        stale,
        lambda: file.write_text(good[:50]),
        lambda: file.write_text(json.dumps({"v": 1})),
        lambda: os.chown(file, alice.uid, -1),
        lambda: file.chmod(0o666),
    ):
        spoil()
        bench.expect()
        page = bench.exporter.page()
        assert page.value("labq_gpu_state", gpu="0") == 0
        file.unlink(missing_ok=True)
        again()
        bench.expect(("0", alice.name, "queue", "false"))


def test_an_engine_that_is_no_engine_is_told_and_the_rest_goes_on(
    exporters: Make, mock_nvml: MockNvml, tmp_path: Path
) -> None:
    mock_nvml.write("driver 580.95.05", gpu_line(0))
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(tmp_path / "false.sock"))
        exporter = exporters((str(tmp_path / "false.sock"),)).start()
        page = exporter.wait(lambda page: page.value("labq_gpu_up", gpu="0") == 1)
        assert page.value("labq_exporter_last_collect_success", collector="containers") == 0
        assert page.value("labq_exporter_last_collect_success", collector="processes") == 1
