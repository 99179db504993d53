"""The whole exporter on drivers that misbehave: one family or one GPU may vanish, never the page."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from support.exporter import Page, RunningExporter
from support.nvml import GIB, MockNvml, gpu_line, gpu_uuid, instance_line, instance_uuid

from labq.clock import now

Make = Callable[..., RunningExporter]
DRIVER = "driver 580.95.05"
#: What is shown of a GPU whose driver does not answer, beside its counters.
BARE = {"labq_gpu_info", "labq_gpu_up", "labq_gpu_memory_total_bytes"}


@pytest.fixture
def worker() -> Iterator[int]:
    """The pid of a process that lives as long as the test."""
    child = subprocess.Popen(["sleep", "600"])
    yield child.pid
    child.kill()
    child.wait()


def of_gpu(page: Page, gpu: str) -> set[str]:
    return {name for name in page.families if page.rows(name, gpu=gpu) and not name.endswith("_total")}


def up(gpu: str) -> Callable[[Page], bool]:
    return lambda page: page.value("labq_gpu_up", gpu=gpu) == 1


def down(gpu: str) -> Callable[[Page], bool]:
    return lambda page: page.value("labq_gpu_up", gpu=gpu) == 0


def test_of_a_gpu_that_hangs_only_its_gauges_vanish_and_no_scrape_waits(
    exporters: Make, mock_nvml: MockNvml, worker: int
) -> None:
    gpus = [DRIVER, gpu_line(0, used=GIB, util=50), gpu_line(1, util=10)]
    mock_nvml.write(*gpus, f"proc 0 {worker} {GIB}")
    exporter = exporters(LABQ_EXPORTER_INTERVAL="1").start()
    before = exporter.wait(lambda page: up("1")(page) and page.rows("labq_gpu_holder_info", gpu="0"))
    assert "labq_gpu_temperature_celsius" in of_gpu(before, "0")
    began = time.monotonic()
    mock_nvml.add("hang 0")
    exporter.wait(down("0"), 6, "the GPU that hangs to be down")
    # Three looks, and one until the answer that came last was asked for.
    assert time.monotonic() - began < 5.0
    waits = []
    for _ in range(50):
        asked = time.perf_counter()
        exporter.get()
        waits.append(time.perf_counter() - asked)
    assert sorted(waits)[45] < 0.05
    after = exporter.page()
    assert of_gpu(after, "0") == BARE
    assert of_gpu(after, "1") == of_gpu(before, "1")
    assert after.value("labq_exporter_last_collect_success", collector="nvml") == 0
    assert not {key for key in before.counters() if key[0] in COUNTED} - set(after.counters())
    # Nobody is charged for what nobody can see.
    held, states = "labq_gpu_user_held_seconds_total", "labq_gpu_state_seconds_total"
    first = exporter.page()
    last = exporter.wait(
        lambda page: (page.value(states, gpu="1", state="free") or 0)
        > (first.value(states, gpu="1", state="free") or 0) + 2,
        what="the other GPU's time to go on",
    )
    assert last.value(held, gpu="0") == first.value(held, gpu="0")
    mock_nvml.write(*gpus)
    exporter.wait(up("0"), 10, "the GPU to be back")


COUNTED = {
    "labq_gpu_state_seconds_total",
    "labq_gpu_busy_seconds_total",
    "labq_gpu_user_held_seconds_total",
    "labq_gpu_user_busy_seconds_total",
    "labq_gpu_user_idle_held_seconds_total",
}


def test_a_driver_that_hangs_at_the_start_leaves_a_page_without_gpus(
    exporters: Make, mock_nvml: MockNvml
) -> None:
    mock_nvml.write(DRIVER, gpu_line(0), "inithang")
    exporter = exporters().start()
    page = exporter.wait(lambda page: page.rows("labq_exporter_last_collect_success"))
    assert page.value("labq_exporter_last_collect_success", collector="nvml") == 0
    assert not page.rows("labq_gpu_up")
    assert exporter.get("/healthz")[0] == 200
    mock_nvml.write(DRIVER, gpu_line(0))
    exporter.wait(up("0"), 15, "the GPU after the driver has answered")


def test_a_driver_that_hangs_does_not_keep_the_exporter_from_ending(
    exporters: Make, mock_nvml: MockNvml
) -> None:
    mock_nvml.write(DRIVER, gpu_line(0))
    exporter = exporters().start()
    exporter.wait(up("0"))
    mock_nvml.add("hang 0")
    exporter.wait(down("0"))
    began = time.monotonic()
    assert exporter.end() == 0
    assert time.monotonic() - began < 3


def test_a_gpu_that_fell_off_the_bus_keeps_its_name_and_its_counters(
    exporters: Make, mock_nvml: MockNvml, worker: int
) -> None:
    mock_nvml.write(DRIVER, gpu_line(0, used=GIB, util=50), gpu_line(1), f"proc 0 {worker} {GIB}")
    exporter = exporters().start()
    before = exporter.wait(lambda page: page.rows("labq_gpu_user_held_seconds_total", gpu="0"))
    mock_nvml.add("lost 0", "xid 0 79")
    after = exporter.wait(
        lambda page: down("0")(page) and page.rows("labq_gpu_xid_errors_total"), what="the loss and its event"
    )
    assert after.value("labq_gpu_info", gpu="0", uuid=gpu_uuid(0)) == 1
    assert after.value("labq_gpu_state", gpu="0", uuid=gpu_uuid(0)) == 4
    assert after.value("labq_gpu_xid_errors_total", gpu="0", uuid=gpu_uuid(0), xid="79") == 1
    assert of_gpu(after, "0") == BARE | {"labq_gpu_state", "labq_gpu_xid_last_timestamp_seconds"}
    assert set(before.counters()) <= set(after.counters()) | {
        key for key in before.counters() if key[0].endswith(("energy_joules_total", "ecc_errors_total"))
    }
    assert after.value("labq_node_gpus_expected") == 2
    assert up("1")(after)


def test_an_xid_is_counted_and_its_time_is_told(exporter: RunningExporter) -> None:
    wall = now()
    exporter.nvml.add("xid 1 31")
    page = exporter.wait(lambda page: page.rows("labq_gpu_xid_errors_total"))
    assert page.value("labq_gpu_xid_errors_total", gpu="1", uuid=gpu_uuid(1), xid="31") == 1
    when = page.value("labq_gpu_xid_last_timestamp_seconds", gpu="1", xid="31")
    assert when is not None
    assert wall - 1 <= when <= wall + 10
    # After a restart the driver does not tell it again, and it is still there.
    exporter.nvml.write(DRIVER, gpu_line(0), gpu_line(1))
    again = exporter.restart().page()
    assert again.value("labq_gpu_xid_errors_total", gpu="1", xid="31") == 1
    assert again.value("labq_gpu_xid_last_timestamp_seconds", gpu="1", xid="31") == when


def test_a_driver_that_is_loaded_later_is_found(exporters: Make, mock_nvml: MockNvml) -> None:
    mock_nvml.write("initfail 9")
    exporter = exporters().start()
    page = exporter.wait(lambda page: page.rows("labq_exporter_last_collect_success"))
    assert not page.rows("labq_gpu_info")
    assert page.value("labq_exporter_build_info", driver="") == 1
    mock_nvml.write(DRIVER, gpu_line(0))
    found = exporter.wait(up("0"), 15, "the GPU of the driver that was loaded")
    assert exporter.wait(lambda page: page.value("labq_exporter_build_info", driver="580.95.05") == 1)
    assert found.value("labq_node_gpus_expected") == 1


def test_a_machine_without_the_library_is_well(exporters: Make) -> None:
    exporter = exporters(LD_LIBRARY_PATH="/nowhere").start()
    page = exporter.wait(
        lambda page: page.value("labq_exporter_last_collect_success", collector="nvml") == 1,
        what="a machine that needs no driver to be well",
    )
    assert page.value("labq_node_gpus_expected") == 0
    assert page.value("labq_exporter_last_collect_success", collector="processes") == 1
    assert exporter.get("/healthz") == (200, "ok\n")


def test_a_machine_that_should_have_gpus_is_not_well_without_the_library(exporters: Make) -> None:
    exporter = exporters(LD_LIBRARY_PATH="/nowhere", LABQ_GPUS_EXPECTED="8").start()
    page = exporter.wait(
        lambda page: (page.value("labq_exporter_collect_errors_total", collector="nvml") or 0) > 3
    )
    assert page.value("labq_exporter_last_collect_success", collector="nvml") == 0


def test_fewer_gpus_than_expected_are_told(exporters: Make, mock_nvml: MockNvml) -> None:
    mock_nvml.write(DRIVER, gpu_line(0))
    page = exporters(LABQ_GPUS_EXPECTED="8").start().wait(up("0"))
    assert page.value("labq_node_gpus_expected") == 8


def test_instances_are_gpus_of_their_own(exporters: Make, mock_nvml: MockNvml, worker: int) -> None:
    mock_nvml.write(
        DRIVER, gpu_line(0), "mig 0 1", instance_line(0, 1, used=2 * GIB), instance_line(0, 2),
        f"proc 0.1 {worker} {2 * GIB}",
    )  # fmt: skip
    page = (
        exporters()
        .start()
        .wait(lambda page: page.rows("labq_gpu_holder_info") and page.rows("labq_gpu_state", gpu="0.2"))
    )
    assert {row["gpu"] for row, _ in page.rows("labq_gpu_info")} == {"0.1", "0.2"}
    assert page.value("labq_gpu_info", gpu="0.1", mig="1", uuid=instance_uuid(0, 1)) == 1
    assert page.value("labq_gpu_user_memory_used_bytes", gpu="0.1") == 2 * GIB
    assert page.value("labq_gpu_state", gpu="0.1") == 3  # nobody can say that it is idle
    assert page.value("labq_gpu_state", gpu="0.2") == 0
    assert not page.rows("labq_gpu_utilization_ratio")
    assert page.value("labq_node_gpus_expected") == 1


def test_what_one_gpu_cannot_tell_is_missing_there_only(exporter: RunningExporter) -> None:
    exporter.nvml.write(
        DRIVER,
        gpu_line(0), gpu_line(1), "ecc 1 3 1", "throttle 1 4", "slowdown 1 90", "remap 1 0 1 1 0",
    )  # fmt: skip
    restarted = exporter.restart()
    page = restarted.wait(lambda page: page.rows("labq_gpu_ecc_errors_total", gpu="1"))
    assert page.value("labq_gpu_ecc_errors_total", gpu="1", type="uncorrected") == 1
    assert page.value("labq_gpu_throttled", gpu="1", reason="power_cap") == 1
    assert page.value("labq_gpu_temperature_slowdown_celsius", gpu="1") == 90
    assert page.value("labq_gpu_row_remap_pending", gpu="1") == 1
    assert page.value("labq_gpu_row_remap_failed", gpu="1") == 0
    restarted.wait(lambda page: page.rows("labq_gpu_ecc_errors_total", gpu="0"))
    assert not page.rows("labq_gpu_temperature_slowdown_celsius", gpu="0")
    assert "nan" not in page.text.lower()


def test_a_process_that_left_proc_but_not_the_driver_is_charged_to_the_last_one_known_as_gone(
    exporter: RunningExporter,
) -> None:
    child = subprocess.Popen(["setpriv", "--reuid=1", "--clear-groups", "sleep", "600"])
    exporter.nvml.write(DRIVER, gpu_line(0, used=GIB), gpu_line(1), f"proc 0 {child.pid} {GIB}")
    exporter.wait(lambda page: page.rows("labq_gpu_holder_info"))
    child.kill()
    child.wait()
    assert not os.path.exists(f"/proc/{child.pid}")
    page = exporter.wait(
        lambda page: page.rows("labq_gpu_holder_info", source="gone"), 20, "the leak to be told"
    )
    assert page.value("labq_gpu_user_memory_used_bytes", gpu="0") == GIB
