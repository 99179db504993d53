"""Whether the driver's kernel module and its library are of one version.

An upgrade replaces the library under a module that stays loaded until the next boot: programs that run go on, the next
one fails with "Driver/library version mismatch". A running exporter would not notice: so it compares the files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

MODULE = Path("/proc/driver/nvidia/version")
LIBRARY = "libnvidia-ml.so.1"
#: Where distributions and NVIDIA's installer put it.
FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
)
#: NVML's words for NVML_ERROR_LIB_RM_VERSION_MISMATCH (18).
_WORDS = "version mismatch"
_VERSION = re.compile(r"\b(\d{3,4}(?:\.\d{1,3}){1,2})\b")


def driver_mismatch(error: str, module: Path = MODULE, folders: Sequence[str] = FOLDERS) -> bool | None:
    """Return whether module and library differ; None = one of them is not here.

    Args:
        error: why NVML does not answer; "" = it does.
        module: the file in which the loaded module says its version.
        folders: where the library is looked for.
    """
    if _WORDS in error.lower():
        return True
    try:
        loaded = module_version(module.read_text(errors="replace"))
    except OSError:
        return None
    for folder in folders:
        path = os.path.join(folder, LIBRARY)
        if os.path.exists(path):
            installed = _VERSION.search(os.path.basename(os.path.realpath(path)))
            return None if loaded is None or installed is None else installed[1] != loaded
    return None


def module_version(text: str) -> str | None:
    """Return the version in the text of ``/proc/driver/nvidia/version``; None when it says none."""
    line = next((line for line in text.splitlines() if line.startswith("NVRM version:")), "")
    found = _VERSION.search(line)
    return found[1] if found else None
