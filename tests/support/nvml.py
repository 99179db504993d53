"""A fake libnvidia-ml.so.1 for the real pynvml; its state is a text file (see native/mock_nvml.c)."""

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pynvml
import pytest

from support.need import need

SOURCE = Path(__file__).parent.parent / "native" / "mock_nvml.c"
LIBRARY = "libnvidia-ml.so.1"
GIB = 1024**3


class MockNvml:
    """The library's directory and the file that says which GPUs it has."""

    def __init__(self, library_dir: Path, state: Path) -> None:
        self.library_dir = library_dir
        self.state = state
        self.write("driver 580.95.05")

    def write(self, *lines: str) -> None:
        """Replaces the state at once: no reader ever sees half a file."""
        new = self.state.with_suffix(".new")
        new.write_text("\n".join(lines) + "\n")
        new.replace(self.state)

    def add(self, *lines: str) -> None:
        """Adds lines to the state, e.g. `fail 0 15`."""
        self.write(*self.state.read_text().splitlines(), *lines)

    def env(self) -> dict[str, str]:
        """The environment for a process that shall find this library; it must be set before it starts."""
        path = f"{self.library_dir}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
        return os.environ | {"LD_LIBRARY_PATH": path, "LABQ_MOCK_NVML": str(self.state)}


def gpu_line(
    index: int, name: str = "NVIDIA GeForce RTX 4090", total: int = 24 * GIB, used: int = 0, util: int = 0
) -> str:
    """A `gpu` line for the state; the UUID is made from the index, so a test can name it (see `gpu_uuid`)."""
    return (
        f"gpu {gpu_uuid(index)} {name.replace(' ', '_')} {total} {used} {util} {40 + index} {60000 + index}"
    )


def gpu_uuid(index: int) -> str:
    """The UUID that `gpu_line(index)` has."""
    return f"GPU-00000000-0000-4000-8000-{index:012d}"


def instance_line(index: int, instance: int, total: int = 10 * GIB, used: int = 0) -> str:
    """An `instance` line; the card's own line and `mig INDEX 1` come before it."""
    return f"instance {index} {instance_uuid(index, instance)} {instance} {total} {used}"


def instance_uuid(index: int, instance: int) -> str:
    """The UUID that `instance_line(index, instance)` has."""
    return f"MIG-00000000-0000-4000-8000-{index:06d}{instance:06d}"


def build_library(directory: Path, *defines: str) -> None:
    """Builds the fake library into a directory; `defines` are more of the compiler's arguments."""
    need(shutil.which("cc"), "a C compiler (apt-get install gcc libc6-dev)")
    flags = [
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        "-fvisibility=hidden",
        "-pthread",
        *defines,
    ]
    # pynvml asks the loader for this very name; the soname makes any way of loading it count.
    named = [f"-Wl,-soname,{LIBRARY}", "-o", str(directory / LIBRARY), str(SOURCE)]
    built = subprocess.run(["cc", *flags, *named], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr


@pytest.fixture(scope="session")
def mock_nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the fake library and returns its directory."""
    target = tmp_path_factory.mktemp("nvml")
    build_library(target)
    return target


@pytest.fixture
def mock_nvml(mock_nvml_library: Path, tmp_path: Path) -> MockNvml:
    """A fake NVML with a driver and no GPUs yet; a test writes its own."""
    return MockNvml(mock_nvml_library, tmp_path / "nvml.state")


@pytest.fixture
def nvml_here(mock_nvml: MockNvml, monkeypatch: pytest.MonkeyPatch) -> Iterator[MockNvml]:
    """The fake NVML, in this very process; nothing hangs and all is closed when the test has ended."""
    # A loaded library stays loaded, so each test gets the one of this session, opened by nobody.
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(mock_nvml.library_dir / LIBRARY)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setenv("LABQ_MOCK_NVML", str(mock_nvml.state))
    yield mock_nvml
    mock_nvml.write("driver 580.95.05")
    with contextlib.suppress(pynvml.NVMLError_Uninitialized):
        while True:
            pynvml.nvmlShutdown()
