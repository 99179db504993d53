"""Module and library of the driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from labq_exporter.driver import LIBRARY, driver_mismatch, module_version

CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 10:11:16 UTC 2025\nGCC version:  gcc version 12.2.0\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build  (dvs-builder)\n"


@pytest.mark.parametrize(
    ("text", "version"), [(CLOSED, "580.95.05"), (OPEN, "575.57.08"), ("", None), ("x", None)]
)
def test_the_module_says_its_version(text: str, version: str | None) -> None:
    assert module_version(text) == version


@pytest.mark.parametrize(
    ("loaded", "installed", "error", "expected"),
    [
        ("580.95.05", "580.95.05", "", False),
        ("580.95.05", "580.105.08", "", True),
        ("580.95.05", "580.95.05", "Driver/library version mismatch", True),
        (None, None, "Driver/library version mismatch", True),
        (None, "580.95.05", "", None),
        ("580.95.05", None, "", None),
        (None, None, "NVML Shared Library Not Found", None),
    ],
)
def test_an_upgrade_under_a_loaded_module_is_noticed(
    tmp_path: Path, loaded: str | None, installed: str | None, error: str, expected: bool | None
) -> None:
    module = tmp_path / "version"
    if loaded:
        module.write_text(CLOSED.replace("580.95.05", loaded))
    if installed:
        real = tmp_path / f"libnvidia-ml.so.{installed}"
        real.write_bytes(b"")
        (tmp_path / LIBRARY).symlink_to(real.name)
    assert driver_mismatch(error, module, [str(tmp_path / "none"), str(tmp_path)]) is expected
