"""What labq makes of the driver's answers: the real pynvml on the fake library, with every trap that is known."""

from __future__ import annotations

import time
from typing import Any

import pynvml
import pytest
from support.nvml import GIB, MockNvml, gpu_line, gpu_uuid, instance_line, instance_uuid

from labq.holding.nvml import Nvml
from labq.holding.samples import GpuProcess
from labq.node import Gpu

A100 = "NVIDIA A100-SXM4-80GB"


def only_gpu(nvml: Nvml) -> Gpu:
    (gpu,), why = nvml.find()
    assert why == ""
    return gpu


# -- which GPUs there are ---------------------------------------------------------------------------------------


def test_gpus_are_found_by_uuid_with_model_and_memory(nvml_here: MockNvml) -> None:
    nvml_here.write("driver 580.1", gpu_line(0), gpu_line(1, A100, 80 * GIB))
    nvml = Nvml()
    assert nvml.find() == (
        (
            Gpu(gpu_uuid(0), 0, "NVIDIA GeForce RTX 4090", 24 * GIB),
            Gpu(gpu_uuid(1), 1, A100, 80 * GIB),
        ),
        "",
    )
    assert nvml.driver() == "580.1"


def test_a_card_in_mig_mode_is_replaced_by_its_instances(nvml_here: MockNvml) -> None:
    nvml_here.write(
        gpu_line(0),
        gpu_line(1, A100, 80 * GIB),
        "mig 1 1",
        instance_line(1, 9),
        instance_line(1, 11, total=20 * GIB),
    )
    found, _ = Nvml().find()
    assert [(gpu.slot, gpu.uuid, gpu.model, gpu.memory) for gpu in found] == [
        ("0", gpu_uuid(0), "NVIDIA GeForce RTX 4090", 24 * GIB),
        ("1.9", instance_uuid(1, 9), f"{A100} MIG 1g.10gb", 10 * GIB),
        ("1.11", instance_uuid(1, 11), f"{A100} MIG 1g.20gb", 20 * GIB),
    ]


@pytest.mark.parametrize("mode", ["mig 0 0", "mig 0 1"])
def test_a_card_without_instances_is_itself(nvml_here: MockNvml, mode: str) -> None:
    nvml_here.write(gpu_line(0, A100), mode)
    assert only_gpu(Nvml()).uuid == gpu_uuid(0)


def test_a_gpu_that_cannot_be_named_leaves_the_others(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0), gpu_line(1), gpu_line(2), "lost 0", "fail 1 999")
    nvml = Nvml()
    assert only_gpu(nvml).uuid == gpu_uuid(2)
    assert dict(nvml.unreadable) == {0: "GPU is lost", 1: "Unknown Error"}
    nvml_here.write(gpu_line(0), gpu_line(1), gpu_line(2))
    assert len(nvml.find()[0]) == 3
    assert not nvml.unreadable


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (9, "kernel module is not loaded (Driver Not Loaded)"),
        (18, "reboot this machine"),
        (999, "Unknown Error"),
    ],
)
def test_a_driver_that_is_not_loaded_is_words_and_later_gpus(
    nvml_here: MockNvml, code: int, says: str
) -> None:
    nvml_here.write(f"initfail {code}")
    nvml = Nvml()
    found, why = nvml.find()
    assert found == ()
    assert says in why
    assert nvml.driver() == ""
    nvml_here.write("driver 580.1", gpu_line(0))
    assert only_gpu(nvml).uuid == gpu_uuid(0)
    assert nvml.driver() == "580.1"


def test_a_machine_without_the_library_is_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "CDLL", missing)
    nvml = Nvml()
    assert nvml.find() == (
        (),
        "no NVIDIA driver is installed (there is no libnvidia-ml.so.1) (NVML Shared Library Not Found)",
    )
    gone = nvml.sample(Gpu("GPU-x", 0, "x", 1))
    assert (gone.memory_used, gone.lost) == (None, False)
    assert "no NVIDIA driver is installed" in gone.error
    assert nvml.health(Gpu("GPU-x", 0, "x", 1)).energy is None
    assert nvml.identify(Gpu("GPU-x", 0, "x", 1)) == ("", None)


def test_a_driver_that_lists_no_gpu_is_opened_anew_for_each_look(nvml_here: MockNvml) -> None:
    nvml = Nvml()
    assert nvml.find() == ((), "the driver lists no GPU that can be read")
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()
    nvml_here.write(gpu_line(0))
    assert only_gpu(nvml).uuid == gpu_uuid(0)


def test_a_driver_that_was_reloaded_is_opened_again(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0, used=GIB))
    nvml = Nvml()
    gpu = only_gpu(nvml)
    nvml.listen(gpu)
    pynvml.nvmlShutdown()
    assert nvml.sample(gpu).error == "Uninitialized"
    assert not nvml.listening
    assert nvml.sample(gpu).memory_used == GIB


def test_a_card_has_a_pci_address_and_a_minor_that_is_not_its_index(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0), gpu_line(1, A100), "mig 1 1", instance_line(1, 3))
    nvml = Nvml()
    whole, instance = nvml.find()[0]
    assert nvml.identify(whole) == ("00000000:01:00.0", 1)
    assert nvml.identify(instance) == ("00000000:02:00.0", 0)


# -- what changes by the second ---------------------------------------------------------------------------------


def test_a_sample_has_base_units(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0, used=3 * GIB, util=42))
    nvml = Nvml()
    sample = nvml.sample(only_gpu(nvml))
    assert (sample.memory_used, sample.utilization, sample.temperature, sample.power) == (
        3 * GIB,
        0.42,
        40,
        60.0,
    )
    assert (sample.processes, sample.error, sample.lost) == ((), "", False)
    assert 0 <= time.monotonic() - sample.at < 5


def test_processes_have_memory_and_use_and_garbage_rows_are_dropped(nvml_here: MockNvml) -> None:
    nvml_here.write(
        gpu_line(0, util=50),
        "proc 0 300 1048576",
        "proc 0 200 -",
        "proc 0 0 5",
        "proc 0 4294967295 5",
        "proc 0 4194304 5",
        f"proc 0 100 {90 * GIB}",
        "sm 0 300 70",
        "smgarbage 0",
    )
    nvml = Nvml()
    assert nvml.sample(only_gpu(nvml)).processes == (
        GpuProcess(100, None, 0.0),
        GpuProcess(200, None, 0.0),
        GpuProcess(300, 1048576, 0.7),
    )


def test_a_client_of_mps_is_a_process_and_counts_once(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0), "proc 0 100 5", "mps 0 100 5", "mps 0 200 7")
    nvml = Nvml()
    assert nvml.sample(only_gpu(nvml)).processes == (GpuProcess(100, 5, 0.0), GpuProcess(200, 7, 0.0))


def test_what_a_process_did_long_ago_is_not_what_it_does(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0), "proc 0 100 5", "proc 0 200 5", "sm 0 100 90 8000", "sm 0 200 30")
    nvml = Nvml()
    processes = nvml.sample(only_gpu(nvml)).processes or ()
    assert [(one.pid, one.utilization) for one in processes] == [(100, 0.0), (200, 0.3)]


def test_a_sample_is_told_once(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0), "proc 0 100 5", "sm 0 100 90 1")
    nvml = Nvml()
    gpu = only_gpu(nvml)
    told = [(nvml.sample(gpu).processes or ())[0].utilization for _ in range(2)]
    assert told == [0.9, 0.0]


@pytest.mark.parametrize("how", ["", "smnone 0"])
def test_when_the_driver_has_no_samples_everybody_is_idle(nvml_here: MockNvml, how: str) -> None:
    nvml_here.write(gpu_line(0, util=0), "proc 0 100 5", how)
    nvml = Nvml()
    assert nvml.sample(only_gpu(nvml)).processes == (GpuProcess(100, 5, 0.0),)


def test_an_instance_tells_its_memory_and_processes_and_not_what_nobody_knows(nvml_here: MockNvml) -> None:
    nvml_here.write(
        gpu_line(0, A100, 80 * GIB, used=5 * GIB, util=80),
        "mig 0 1",
        instance_line(0, 1, used=2 * GIB),
        instance_line(0, 2),
        f"proc 0.1 100 {GIB}",
        "proc 0.2 200 -",
        "throttle 0 32",
        "slowdown 0 92",
        "ecc 0.2 1 2",
        "remap 0 0 1 1 0",
    )
    nvml = Nvml()
    first, second = nvml.find()[0]
    sample = nvml.sample(first)
    assert (sample.memory_used, sample.utilization, sample.temperature, sample.power, sample.error) == (
        2 * GIB, None, 40, None, "",
    )  # fmt: skip
    assert sample.processes == (GpuProcess(100, GIB, None),)
    assert nvml.sample(second).processes == (GpuProcess(200, None, None),)
    health = nvml.health(second)
    assert (health.power_limit, health.energy, health.temperature_slowdown) == (None, None, 92)
    assert (health.ecc_corrected, health.ecc_uncorrected, health.remap_pending) == (1, 2, True)
    assert health.throttled["sw_thermal"]


def test_a_gpu_without_memory_of_its_own_is_found_and_read(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0, "NVIDIA GB10", util=7), "nomemory 0", "proc 0 100 5")
    nvml = Nvml()
    gpu = only_gpu(nvml)
    assert gpu.memory == 0
    sample = nvml.sample(gpu)
    assert (sample.memory_used, sample.utilization, sample.error) == (None, 0.07, "")
    assert [one.memory for one in sample.processes or ()] == [5]


def without(monkeypatch: pytest.MonkeyPatch, *symbols: str) -> None:
    """Makes the library one that lacks these functions, as an older driver does."""
    real = pynvml._nvmlGetFunctionPointer

    def pointer(name: str) -> Any:
        if name in symbols:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return real(name)

    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer", pointer)


def test_a_driver_that_is_too_old_for_a_question_is_asked_the_older_one(
    nvml_here: MockNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(
        monkeypatch,
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetMPSComputeRunningProcesses_v3",
        "nvmlDeviceGetTemperatureV",
        "nvmlDeviceGetCurrentClocksEventReasons",
    )
    nvml_here.write(gpu_line(0), "proc 0 100 5", "mps 0 200 6", "throttle 0 8")
    nvml = Nvml()
    gpu = only_gpu(nvml)
    sample = nvml.sample(gpu)
    assert [(one.pid, one.memory) for one in sample.processes or ()] == [(100, 5), (200, 6)]
    assert sample.temperature == 40
    assert nvml.health(gpu).throttled["hw_slowdown"]


def test_what_neither_driver_nor_binding_can_tell_is_unknown_and_not_zero(
    nvml_here: MockNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(
        monkeypatch,
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetComputeRunningProcesses_v2",
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
        "nvmlDeviceGetRemappedRows",
        "nvmlDeviceGetPowerUsage",
    )
    monkeypatch.delattr(pynvml, "nvmlDeviceGetTemperatureV", raising=False)
    nvml_here.write(gpu_line(0, used=GIB), "proc 0 100 5")
    nvml = Nvml()
    gpu = only_gpu(nvml)
    sample, health = nvml.sample(gpu), nvml.health(gpu)
    assert (sample.processes, sample.power, sample.temperature, sample.error) == (None, None, 40, "")
    assert (dict(health.throttled), health.remap_pending, health.remap_failed) == ({}, None, None)
    assert health.power_limit == 450.0


@pytest.mark.parametrize(("code", "lost"), [(15, True), (16, True), (6, True), (28, True), (999, False)])
def test_a_gpu_that_cannot_be_read_has_the_words_of_the_driver(
    nvml_here: MockNvml, code: int, lost: bool
) -> None:
    nvml_here.write(gpu_line(0), gpu_line(1, used=5))
    nvml = Nvml()
    first, second = nvml.find()[0]
    assert nvml.sample(first).error == ""
    nvml_here.add(f"fail 0 {code}")
    sample = nvml.sample(first)
    assert sample.error
    assert (sample.lost, sample.memory_used, sample.processes) == (lost, None, None)
    assert nvml.sample(second).memory_used == 5
    nvml_here.write(gpu_line(0), gpu_line(1))
    assert nvml.sample(first).error == ""


def test_a_gpu_whose_uuid_the_driver_no_longer_knows_is_lost(nvml_here: MockNvml) -> None:
    nvml_here.write(gpu_line(0), gpu_line(1, used=7))
    nvml = Nvml()
    first, second = nvml.find()[0]
    nvml.sample(first)
    nvml.sample(second)
    # The second moves into the place of the first: a handle that is kept must not name the other one.
    nvml_here.write(gpu_line(1, used=7))
    assert (nvml.sample(first).error, nvml.sample(first).lost) == ("Not Found", True)
    assert nvml.sample(second).memory_used == 7
