"""The real pynvml reads the fake library, its failures included; all that labq calls is there."""

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pynvml
import pytest
from support.nvml import GIB, LIBRARY, MockNvml, gpu_line, gpu_uuid

REPO = Path(__file__).parents[2]

# Reads everything that labq reads, as JSON; an NVML error becomes its number.
READER = """
import json, pynvml as n
def ask(f, *a):
    try:
        return f(*a)
    except n.NVMLError as error:
        return {"error": error.value}
def gpu(index):
    h = n.nvmlDeviceGetHandleByIndex(index)
    memory, procs = ask(n.nvmlDeviceGetMemoryInfo, h), ask(n.nvmlDeviceGetComputeRunningProcesses, h)
    return {
        "uuid": ask(n.nvmlDeviceGetUUID, h), "name": ask(n.nvmlDeviceGetName, h),
        "total": getattr(memory, "total", memory), "used": getattr(memory, "used", None),
        "used_v2": getattr(ask(n.nvmlDeviceGetMemoryInfo, h, n.nvmlMemory_v2), "used", None),
        "util": getattr(ask(n.nvmlDeviceGetUtilizationRates, h), "gpu", None),
        "celsius": ask(n.nvmlDeviceGetTemperatureV, h, 0), "milliwatt": ask(n.nvmlDeviceGetPowerUsage, h),
        "bus": getattr(ask(n.nvmlDeviceGetPciInfo, h), "busId", None), "mig": ask(n.nvmlDeviceGetMigMode, h),
        "ecc": ask(n.nvmlDeviceGetTotalEccErrors, h, 1, 0), "remap": ask(n.nvmlDeviceGetRemappedRows, h),
        "procs": [(p.pid, p.usedGpuMemory) for p in procs] if isinstance(procs, list) else procs,
    }
n.nvmlInit()
print(json.dumps({"driver": n.nvmlSystemGetDriverVersion(),
                  "gpus": [ask(gpu, i) for i in range(n.nvmlDeviceGetCount())]}))
n.nvmlShutdown()
"""


def python(mock: MockNvml, code: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    """Runs code in a new process, since a loaded library stays loaded."""
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=mock.env(), capture_output=True, text=True, timeout=timeout, check=False
    )


def test_pynvml_reads_what_the_state_file_says(mock_nvml: MockNvml) -> None:
    mock_nvml.write(
        "driver 580.1",
        gpu_line(0, used=3 * GIB, util=42),
        gpu_line(1, "NVIDIA A100-SXM4-80GB", 80 * GIB),
        "proc 0 1234 1048576",
        "proc 0 99 -",
        "ecc 1 5 2",
        "remap 1 1 2 0 1",
        "mig 1 0",
    )
    result = python(mock_nvml, READER)
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    first, second = seen["gpus"]
    assert seen["driver"] == "580.1"
    assert first == {
        "uuid": gpu_uuid(0), "name": "NVIDIA GeForce RTX 4090", "total": 24 * GIB, "used": 3 * GIB,
        "used_v2": 3 * GIB, "util": 42, "celsius": 40, "milliwatt": 60000, "bus": "00000000:01:00.0",
        "mig": {"error": 3}, "ecc": 0, "remap": [0, 0, 0, 0], "procs": [[1234, 1048576], [99, None]],
    }  # fmt: skip
    assert (second["name"], second["total"]) == ("NVIDIA A100-SXM4-80GB", 80 * GIB)
    assert (second["ecc"], second["remap"], second["mig"], second["procs"]) == (2, [1, 2, 0, 1], [0, 0], [])


def test_a_gpu_that_fails_or_is_lost_leaves_the_others_readable(mock_nvml: MockNvml) -> None:
    mock_nvml.write(gpu_line(0), gpu_line(1), gpu_line(2), "fail 0 999", "lost 1")
    failed, lost, well = json.loads(python(mock_nvml, READER).stdout)["gpus"]
    assert failed["uuid"] == failed["procs"] == {"error": 999}
    assert lost == {"error": 15}
    assert well["uuid"] == gpu_uuid(2)


@pytest.mark.parametrize(("code", "name"), [(9, "DriverNotLoaded"), (18, "LibRmVersionMismatch")])
def test_init_fails_as_told(mock_nvml: MockNvml, code: int, name: str) -> None:
    mock_nvml.write(f"initfail {code}")
    result = python(mock_nvml, "import pynvml; pynvml.nvmlInit()")
    assert result.returncode == 1
    assert f"NVMLError_{name}" in result.stderr


def test_a_hanging_gpu_blocks_until_it_recovers(mock_nvml: MockNvml) -> None:
    mock_nvml.write(gpu_line(0), "hang 0")
    process = subprocess.Popen([sys.executable, "-c", READER], env=mock_nvml.env(), stdout=subprocess.PIPE)
    with process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.7)
        mock_nvml.write(gpu_line(0))
        assert b"4090" in process.communicate(timeout=20)[0]


def test_an_xid_is_told_once_to_who_listens(mock_nvml: MockNvml) -> None:
    mock_nvml.write(gpu_line(0), gpu_line(1), "xid 1 13")
    code = """
import os, pynvml as n
n.nvmlInit()
s = n.nvmlEventSetCreate()
for i in range(2):
    n.nvmlDeviceRegisterEvents(n.nvmlDeviceGetHandleByIndex(i), n.nvmlEventTypeXidCriticalError, s)
with open(os.environ["LABQ_MOCK_NVML"], "a") as f: f.write("xid 1 79\\n")
event = n.nvmlEventSetWait_v2(s, 5000)
print(n.nvmlDeviceGetIndex(event.device), event.eventData, event.eventType == n.nvmlEventTypeXidCriticalError)
try: n.nvmlEventSetWait_v2(s, 50)
except n.NVMLError_Timeout: print("then nothing")
n.nvmlEventSetFree(s)
"""
    result = python(mock_nvml, code)
    assert result.stdout == "1 79 True\nthen nothing\n", result.stderr


# What a GPU tool needs whether or not labq calls it already, so that the fake grows ahead of the code.
ALWAYS = """
Init Shutdown SystemGetDriverVersion DeviceGetCount DeviceGetHandleByIndex DeviceGetHandleByUUID DeviceGetUUID
DeviceGetName DeviceGetIndex DeviceGetMinorNumber DeviceGetPciInfo DeviceGetMemoryInfo DeviceGetUtilizationRates
DeviceGetTemperature DeviceGetTemperatureV DeviceGetPowerUsage DeviceGetEnforcedPowerLimit DeviceGetFanSpeed
DeviceGetTotalEnergyConsumption DeviceGetComputeRunningProcesses DeviceGetGraphicsRunningProcesses
DeviceGetMPSComputeRunningProcesses DeviceGetProcessUtilization DeviceGetTotalEccErrors DeviceGetRemappedRows
DeviceGetCurrentClocksEventReasons DeviceGetMigMode EventSetCreate DeviceRegisterEvents EventSetWait EventSetFree
"""


def symbols_called_by(name: str, functions: dict[str, str]) -> set[str]:
    """The C symbols behind a pynvml function, through the pynvml functions that it calls."""
    source = functions.get(name, "")
    found = set(re.findall(r'_nvmlGetFunctionPointer\("(\w+)"\)', source))
    for inner in set(re.findall(r"\b(nvml\w+)\(", source)) - {name}:
        found |= symbols_called_by(inner, functions)
    return found


def names_in(path: Path) -> set[str]:
    """The functions of pynvml that a file calls, or asks for by name."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    called = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    called |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {name for name in called if re.fullmatch(r"nvml[A-Z]\w+", name)}


def test_every_function_that_labq_asks_for_exists() -> None:
    names = {name for path in (REPO / "labq" / "holding").glob("nvml*.py") for name in names_in(path)}
    assert "nvmlDeviceGetPowerUsage" in names
    assert sorted(name for name in names if not hasattr(pynvml, name)) == []


def test_every_symbol_that_labq_calls_is_in_the_fake(mock_nvml_library: Path) -> None:
    spec = importlib.util.find_spec("pynvml")
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text()
    lines = text.splitlines()
    functions = {
        node.name: "\n".join(lines[node.lineno : node.end_lineno])
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef)
    }
    sources = [path for part in ("labq", "worker", "exporter") for path in (REPO / part).rglob("*.py")]
    used = {call for path in sources for call in re.findall(r"\b(nvml[A-Z]\w+)\b", path.read_text())}
    used |= {f"nvml{name}" for name in ALWAYS.split()}
    wanted = {symbol for call in used & functions.keys() for symbol in symbols_called_by(call, functions)}
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", str(mock_nvml_library / LIBRARY)],
        capture_output=True,
        text=True,
        check=True,
    )
    exported = {line.split()[-1] for line in listing.stdout.splitlines()}
    assert {"nvmlInitWithFlags", "nvmlEventSetWait_v2"} <= exported
    assert not wanted - exported, "add these to tests/native/mock_nvml_queries.h"
