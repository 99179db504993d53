"""The counters of the whole exporter: whatever happens to it or to its file, none of them ever goes back."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.exporter import Page, RunningExporter
from support.need import need
from support.nvml import GIB, MockNvml, gpu_line
from support.waiting import wait_for

Make = Callable[..., RunningExporter]
HELD = "labq_gpu_user_held_seconds_total"


@pytest.fixture
def held(exporters: Make, mock_nvml: MockNvml) -> Iterator[Callable[..., RunningExporter]]:
    """Makes exporters that see a GPU which a process holds."""
    child = subprocess.Popen(["sleep", "600"])
    mock_nvml.write("driver 580.95.05", gpu_line(0, used=GIB, util=50), f"proc 0 {child.pid} {GIB}")
    yield exporters
    child.kill()
    child.wait()


def seconds(page: Page) -> float:
    return page.value(HELD, gpu="0") or 0.0


def beyond(least: float) -> Callable[[Page], bool]:
    return lambda page: seconds(page) > least


class Watcher:
    """Scrapes without a pause, over restarts, and notes each counter that goes back."""

    def __init__(self, exporter: RunningExporter) -> None:
        self._exporter = exporter
        self._stop = threading.Event()
        self.seen: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self.back: list[str] = []
        self.pages = 0
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                found = self._exporter.page().counters()
            except (OSError, AssertionError):
                time.sleep(0.005)
                continue
            self.pages += 1
            for key, value in found.items():
                if value < self.seen.get(key, 0.0):
                    self.back.append(f"{key}: {self.seen[key]} -> {value}")
                self.seen[key] = value

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_counter_ever_goes_back_whoever_ends_it(held: Make, how: signal.Signals, unused_port: int) -> None:
    exporter = held(LABQ_EXPORTER_PORT=str(unused_port), LABQ_EXPORTER_INTERVAL="0.1").start()
    with Watcher(exporter) as watcher:
        for _ in range(6):
            before = seconds(exporter.page())
            exporter.wait(beyond(before + 0.35))
            exporter.restart(how)
        exporter.wait(beyond(before))
    assert watcher.back == []
    assert watcher.pages > 100


@pytest.fixture
def unused_port() -> int:
    """A port that was free a moment ago: the exporter must come back where it was."""
    import socket

    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


def test_what_was_counted_is_on_the_first_page_of_the_next_life_with_the_same_labels(held: Make) -> None:
    exporter = held().start()
    before = exporter.wait(beyond(1))
    exporter.end(signal.SIGKILL)
    # A driver that does not answer must not hide what was counted.
    exporter.nvml.add("inithang")
    after = exporter.start().page()
    assert set(before.counters()) - set(after.counters()) <= {
        key for key in before.counters() if key[0].endswith(("energy_joules_total", "ecc_errors_total"))
    }
    assert seconds(after) >= seconds(before)


def test_it_ends_within_three_seconds(held: Make) -> None:
    exporter = held().start()
    exporter.wait(beyond(0.1))
    began = time.monotonic()
    assert exporter.end() == 0
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"v": 99, "boot": ""}', '{"v": 1}', "\0\xff", '{"v": 1, "boot": {}}']
)
def test_a_state_file_that_is_broken_is_told_and_begun_anew(held: Make, text: str) -> None:
    exporter = held().start()
    exporter.wait(beyond(0.5))
    exporter.end()
    file = exporter.run_dir / "exporter" / "state.json"
    file.write_bytes(text.encode("latin-1"))
    restarted = exporter.start()
    assert seconds(restarted.page()) < 0.5
    restarted.wait(beyond(0.3))
    assert "Traceback" not in exporter.tail()


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], check=False)
    need(done.returncode == 0, "the right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_full_is_told_and_the_page_goes_on(held: Make, tmp_path: Path) -> None:
    with mounted(tmp_path / "run", "-t", "tmpfs", "-o", "size=64k", "labqt"):
        exporter = held().start()
        exporter.wait(lambda page: page.value("labq_exporter_last_collect_success", collector="state") == 1)
        filler = tmp_path / "run" / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 512)
        before = exporter.wait(
            lambda page: page.value("labq_exporter_last_collect_success", collector="state") == 0
        )
        exporter.wait(beyond(seconds(before) + 0.5))
        assert exporter.get("/healthz")[0] == 200
        # What it could not write down is not there in an old form: a counter goes on, or it begins anew.
        before = exporter.page()
        after = seconds(exporter.restart(signal.SIGKILL).page())
        assert after >= seconds(before) or after < 0.5
        filler.unlink()
        wait_for(written_down(exporter, 5), 10, "the counters to be written down")
        exporter.close()


def written_down(exporter: RunningExporter, times: int) -> Callable[[], bool]:
    """Whether the counters were written down so often, one look after the other; to be asked again and again."""
    last: list[float] = []

    def asked() -> bool:
        page = exporter.page()
        if page.value("labq_exporter_last_collect_success", collector="state") != 1:
            last.clear()
        when = page.value("labq_exporter_last_collect_timestamp_seconds", collector="state") or 0.0
        if not last or when > last[-1]:
            last.append(when)
        return len(last) > times

    return asked


def test_a_disk_that_became_read_only_is_told_and_the_page_goes_on(held: Make, tmp_path: Path) -> None:
    exporter = held().start()
    exporter.wait(beyond(0.3))
    run_dir = exporter.run_dir
    with mounted(run_dir, "--bind", str(run_dir)):
        # A mount with files open for writing cannot be made read-only: so it gets one over it that is.
        subprocess.run(["mount", "-o", "remount,bind,ro", str(run_dir)], check=True)
        before = exporter.wait(
            lambda page: page.value("labq_exporter_last_collect_success", collector="state") == 0
        )
        exporter.wait(beyond(seconds(before) + 0.5))
        assert (exporter.page().value("labq_exporter_collect_errors_total", collector="state") or 0) > 0
        exporter.end()
        assert exporter.begin().wait(10) != 0
        assert "cannot be written: Read-only file system" in exporter.tail()
        assert "LABQ_RUN_DIR" in exporter.tail()


def test_a_disk_that_hangs_makes_it_unhealthy_and_hides_what_was_measured(held: Make) -> None:
    exporter = held().start()
    exporter.wait(beyond(0.3))
    # A pipe that nobody reads holds whoever opens it for writing, as a dead network disk does.
    pipe = exporter.run_dir / "exporter" / "state.new"
    with contextlib.suppress(FileExistsError):
        os.mkfifo(pipe)
    wait_for(lambda: exporter.get("/healthz")[0] == 503, 10, "it to be unhealthy", hint=exporter.tail)
    assert "the last look ended" in exporter.get("/healthz")[1]
    page = exporter.page()
    assert page.value("labq_gpu_up", gpu="0") == 0
    assert not page.rows("labq_gpu_utilization_ratio")
    assert not page.rows("labq_gpu_holder_info")
    assert seconds(page) > 0
    with pipe.open("rb") as reader:
        reader.read()
    wait_for(lambda: exporter.get("/healthz")[0] == 200, 10, "it to be well", hint=exporter.tail)
    exporter.wait(lambda page: page.value("labq_gpu_up", gpu="0") == 1)


def test_two_with_one_directory_are_one_too_many(held: Make) -> None:
    first = held().start()
    second = held()
    assert second.begin().wait(10) != 0
    assert f"error: another exporter runs with {first.run_dir}" in second.tail()
    assert "LABQ_RUN_DIR" in second.tail()
    assert first.get("/healthz")[0] == 200


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("LABQ_EXPORTER_INTERVAL", "1h", "LABQ_EXPORTER_INTERVAL='1h' is not legal"),
        ("LABQ_EXPORTER_PORT", "70000", "LABQ_EXPORTER_PORT='70000' is no port"),
        ("LABQ_EXPORTER_HOST", "no such host", "cannot listen on no such host:0"),
        ("LABQ_EXPORTER_HOST", "192.0.2.1", "cannot listen on 192.0.2.1:0"),
        ("LABQ_EXPORTER_WEB_CONFIG", "/nowhere.yml", "web config /nowhere.yml: No such file"),
        ("LABQ_GPUS_EXPECTED", "many", "LABQ_GPUS_EXPECTED='many'"),
        ("LABQ_LOG_LEVEL", "loud", "LABQ_LOG_LEVEL='loud'"),
        ("LABQ_RUN_DIR", "/dev/null/x", "/dev/null/x/exporter cannot be written"),
    ],
)
def test_a_setting_that_makes_no_sense_ends_it_with_two_lines(
    exporters: Make, setting: str, value: str, said: str
) -> None:
    exporter = exporters(**{setting: value})
    assert exporter.begin().wait(10) == 2 or said.endswith("written")
    lines = [line for line in exporter.tail().splitlines() if line]
    assert said in lines[0]
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("  next: ")
    assert len(lines) == 2
